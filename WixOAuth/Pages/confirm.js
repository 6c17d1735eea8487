// The button works once the page has been in front for a second. Otherwise a page that asks for a double click, and closes
// or leaves its window at the first one, has the second one press it.
(() => {
  const form = document.forms[0], button = form.querySelector('button');
  let timer, sent = false;
  const hold = () => {
    button.ariaDisabled = 'true';
    clearTimeout(timer);
    timer = setTimeout(() => { button.ariaDisabled = sent ? 'true' : null; }, 1000);
  };
  addEventListener('focus', hold);
  addEventListener('pageshow', () => {
    sent = false;
    hold();
  });
  form.addEventListener('submit', event => {
    if (button.ariaDisabled) return event.preventDefault();

    // A second press would cut off the answer to the first: the link would be used, and its cookie lost.
    sent = true;
    button.ariaDisabled = 'true';
  });
  hold();
})();
