using Azure;
using Azure.Identity;

namespace WixOAuth.Cli;

/// <summary>What to do where Azure does not let the operator in.</summary>
internal static class AccessHint
{
    /// <summary>A sentence that follows the failure's message; empty where access is not the cause.</summary>
    public static string Of(Exception failure)
    {
        for (var cause = failure.InnerException; cause is not null; cause = cause.InnerException)
        {
            switch (cause)
            {
                case AuthenticationFailedException:
                    return " Sign in first: az login.";
                case RequestFailedException { Status: 403 }:
                    return " Your account lacks a role (Storage Table Data Contributor on the table, Storage Blob Data Contributor on the container, Key Vault Secrets User on the vault), or the network is closed to this machine.";
            }
        }

        return "";
    }
}
