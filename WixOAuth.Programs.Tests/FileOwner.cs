using System.Runtime.Versioning;
using System.Security.AccessControl;
using System.Security.Principal;

namespace WixOAuth.Programs.Tests;

/// <summary>What Windows has in place of a file's mode.</summary>
[SupportedOSPlatform("windows")]
internal static class FileOwner
{
    /// <summary>Checks that nobody but the user has any right to a file.</summary>
    public static void AssertAlone(string path)
    {
        using var user = WindowsIdentity.GetCurrent();
        var rules = new FileInfo(path).GetAccessControl().GetAccessRules(includeExplicit: true, includeInherited: true, typeof(SecurityIdentifier));

        Assert.Equal([user.User!], rules.Cast<FileSystemAccessRule>().Select(rule => rule.IdentityReference));
    }
}
