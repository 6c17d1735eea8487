// Verifies an event as a receiver in JavaScript does. Reads {"secret","headers","body"} from standard input and prints the
// event's id, type, subject and data.
import { HTTP } from "cloudevents";
import { Webhook } from "standardwebhooks";

const { secret, headers, body } = JSON.parse(await new Response(process.stdin).text());
new Webhook(secret).verify(body, headers);
const event = HTTP.toEvent({ headers, body });
event.validate();
console.log(JSON.stringify({ id: event.id, type: event.type, subject: event.subject, source: event.source, data: event.data }));
