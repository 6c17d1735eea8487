using System.Text;
using WixOAuth.Storage;

namespace WixOAuth.Functions.Tests.Storage;

public sealed class RowJsonTests
{
    [Theory]
    [InlineData("\"Edm.Int64\"", "\"99999999999999999999\"")]
    [InlineData("\"Edm.Int64\"", "null")]
    [InlineData("\"Edm.Int64\"", "7")]
    [InlineData("\"Edm.DateTime\"", "\"2026-01-01T00:00:00+20:00\"")]
    [InlineData("\"Edm.Guid\"", "\"none\"")]
    [InlineData("\"Edm.Binary\"", "\"%\"")]
    [InlineData("\"Edm.Int32\"", "1")]
    [InlineData("7", "1")]
    [InlineData("null", "{}")]
    public void A_line_with_a_damaged_value_is_not_a_row(string type, string value)
    {
        var line = $$"""{"PartitionKey":"0","RowKey":"i|1","Value@odata.type":{{type}},"Value":{{value}}}""";
        Assert.Throws<InvalidDataException>(() => RowJson.Read(Encoding.UTF8.GetBytes(line)));
    }
}
