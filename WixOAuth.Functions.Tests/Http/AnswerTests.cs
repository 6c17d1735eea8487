using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using WixOAuth.Http;
using WixOAuth.Install;

namespace WixOAuth.Functions.Tests.Http;

/// <summary>Answers to callers who have disconnected: the host executes an answer after the guard, so what it throws reaches the host.</summary>
public sealed class AnswerTests
{
    private static readonly Dictionary<string, Answer> s_answers = new Answer[]
    {
        new EmptyAnswer(204),
        new JsonAnswer<RedeliveryBody>(new RedeliveryBody(1), Json.Default.RedeliveryBody),
        new ProblemAnswer(503, "storage_unavailable", "The storage is down.", TimeSpan.FromSeconds(5)),
        new RedirectAnswer(new BrowserUrl("https://wix.example/"), [new InstallCookie("name", "value", TimeSpan.FromMinutes(1))], ["other"]),
        new SeeOtherAnswer("/api/redirect?problem=busy"),
        new HandshakePage(200, "a page"),
        new OperatorsPage("a page", "default-src 'none'"),
        new OpenApiAnswer("{}"u8.ToArray()),
    }.ToDictionary(answer => answer.GetType().Name);

    public static TheoryData<string> Kinds => [.. s_answers.Keys];

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task An_answer_to_a_caller_who_has_disconnected_throws_nothing(string kind)
    {
        var context = new DefaultHttpContext { RequestAborted = new CancellationToken(canceled: true), Response = { Body = new MemoryStream() } };

        await s_answers[kind].ExecuteAsync(context);
    }

    [Fact]
    public void Every_kind_of_answer_is_tried() => Assert.Equal(
        typeof(Answer).Assembly.GetTypes().Where(type => type.IsSubclassOf(typeof(Answer)) && !type.IsAbstract).Select(type => type.Name).Order(StringComparer.Ordinal),
        s_answers.Keys.Order(StringComparer.Ordinal));

    // More than the server buffers, so that the write waits for a reader that does not come.
    [Theory]
    [InlineData(10)]
    [InlineData(10_000_000)]
    public async Task The_server_ignores_what_is_written_after_the_caller_has_disconnected(int length)
    {
        var written = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var server = WebApplication.CreateSlimBuilder().Build();
        server.Urls.Add("http://127.0.0.1:0");
        server.Run(async context =>
        {
            var aborted = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            await using var registration = context.RequestAborted.Register(aborted.SetResult);
            await aborted.Task;
            try
            {
                await new HandshakePage(200, new string('a', length)).ExecuteAsync(context);
                written.SetResult();
            }
            catch (Exception exception)
            {
                written.SetException(exception);
            }
        });
        await server.StartAsync();

        using (var caller = new TcpClient())
        {
            await caller.ConnectAsync(IPAddress.Loopback, new Uri(server.Urls.Single()).Port);
            await caller.GetStream().WriteAsync("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"u8.ToArray());
        }

        await written.Task.WaitAsync(TimeSpan.FromMinutes(3));
    }
}
