using System.Text.RegularExpressions;

namespace WixOAuth.Programs.Tests.Infra;

/// <summary>What a security engineer would look for, in what would be deployed and not in how it is written.</summary>
public partial class SecurityTests
{
    private static readonly Dictionary<string, string> s_roles = new()
    {
        ["4633458b-17de-408a-b874-0445c86b69e6"] = "Key Vault Secrets User",
        ["b86a8fe4-44ce-4948-aee5-eccb2c155cd7"] = "Key Vault Secrets Officer",
        ["b7e6dc6d-f1e8-4753-8033-0f276bb0955b"] = "Storage Blob Data Owner",
        ["ba92f5b4-2d11-453d-a403-e96b0029c9fe"] = "Storage Blob Data Contributor",
        ["0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3"] = "Storage Table Data Contributor",
        ["19e7f393-937e-4f77-808e-94535e297925"] = "Storage Queue Data Reader",
        ["8a0f0c08-91a1-4084-bc3d-661d67233fed"] = "Storage Queue Data Message Processor",
        ["c6a89b2d-59bc-44d0-9896-0f6e12d7b80a"] = "Storage Queue Data Message Sender",
        ["3913510d-42f4-4e42-8a64-420c390055eb"] = "Monitoring Metrics Publisher",
    };

    [SkippableTheory]
    [InlineData("sthost")]
    [InlineData("sttokens")]
    [InlineData("stbackup")]
    public async Task A_storage_account_takes_identities_only(string prefix)
    {
        var account = Assert.Single(
            (await Bicep.Usual).Of("Microsoft.Storage/storageAccounts"), each => each.At("name")!.StartsWith(prefix, StringComparison.Ordinal));

        Assert.Equal("False", account.At("properties.allowSharedKeyAccess"));
        Assert.Equal("False", account.At("properties.allowBlobPublicAccess"));
        Assert.Equal("False", account.At("properties.allowCrossTenantReplication"));
        Assert.Equal("True", account.At("properties.defaultToOAuthAuthentication"));
        Assert.Equal("True", account.At("properties.supportsHttpsTrafficOnly"));
        Assert.Equal("TLS1_2", account.At("properties.minimumTlsVersion"));
    }

    [SkippableFact]
    public async Task There_are_no_other_storage_accounts_and_no_public_containers()
    {
        var deployment = await Bicep.Usual;

        Assert.Equal(3, deployment.Of("Microsoft.Storage/storageAccounts").Count);
        Assert.All(
            deployment.Of("Microsoft.Storage/storageAccounts/blobServices/containers"),
            container => Assert.Equal("None", container.At("properties.publicAccess")));
    }

    [SkippableFact]
    public async Task Key_Vault_goes_by_roles_and_cannot_be_purged()
    {
        var vault = Assert.Single((await Bicep.Usual).Of("Microsoft.KeyVault/vaults"));

        Assert.Equal("True", vault.At("properties.enableRbacAuthorization"));
        Assert.Equal("True", vault.At("properties.enablePurgeProtection"));
        Assert.Equal("True", vault.At("properties.enableSoftDelete"));
        Assert.Equal("90", vault.At("properties.softDeleteRetentionInDays"));
        Assert.Null(vault.At("properties.accessPolicies"));
        Assert.Equal("False", vault.At("properties.enabledForTemplateDeployment"));
    }

    [SkippableFact]
    public async Task Key_Vault_keeps_an_audit_log()
    {
        var settings = Assert.Single(
            (await Bicep.Usual).Of("Microsoft.Insights/diagnosticSettings"), each => each.At("id")!.Contains("/vaults/", StringComparison.Ordinal));

        Assert.Equal("AuditEvent", settings.GetProperty("properties").GetProperty("logs")[0].At("category"));
        Assert.Equal("True", settings.GetProperty("properties").GetProperty("logs")[0].At("enabled"));
    }

    [SkippableFact]
    public async Task The_Function_App_speaks_modern_TLS_only_and_has_no_passwords()
    {
        var deployment = await Bicep.Usual;
        var app = Assert.Single(deployment.Of("Microsoft.Web/sites"));

        Assert.Equal("True", app.At("properties.httpsOnly"));
        Assert.Equal("1.2", app.At("properties.siteConfig.minTlsVersion"));
        Assert.Equal("1.2", app.At("properties.siteConfig.scmMinTlsVersion"));
        Assert.Equal("Disabled", app.At("properties.siteConfig.ftpsState"));
        const string Policies = "Microsoft.Web/sites/basicPublishingCredentialsPolicies";
        Assert.Equal("False", deployment.Named(Policies, "/ftp").At("properties.allow"));
        Assert.Equal("False", deployment.Named(Policies, "/scm").At("properties.allow"));
    }

    [SkippableFact]
    public async Task The_Function_App_is_one_user_assigned_identity_for_everything()
    {
        var deployment = await Bicep.Usual;
        var app = Assert.Single(deployment.Of("Microsoft.Web/sites"));

        Assert.Equal("UserAssigned", app.At("identity.type"));
        Assert.Single(app.GetProperty("identity").GetProperty("userAssignedIdentities").EnumerateObject());
        Assert.Equal("UserAssignedIdentity", app.At("properties.functionAppConfig.deployment.storage.authentication.type"));
        Assert.Equal("managedidentity", deployment.AppSettings["AzureWebJobsStorage__credential"]);
        Assert.EndsWith(".outputs.clientId.value]", deployment.AppSettings["AzureWebJobsStorage__clientId"], StringComparison.Ordinal);
        Assert.Equal(deployment.AppSettings["AzureWebJobsStorage__clientId"], deployment.AppSettings["AZURE_CLIENT_ID"]);
        Assert.Contains("Authorization=AAD", deployment.AppSettings["APPLICATIONINSIGHTS_AUTHENTICATION_STRING"], StringComparison.Ordinal);
    }

    [SkippableFact]
    public async Task It_runs_on_Flex_Consumption_with_an_instance_always_ready_for_HTTP()
    {
        var deployment = await Bicep.Usual;
        var plan = Assert.Single(deployment.Of("Microsoft.Web/serverfarms"));
        var app = Assert.Single(deployment.Of("Microsoft.Web/sites"));

        Assert.Equal("FC1", plan.At("sku.name"));
        Assert.Equal("True", plan.At("properties.reserved"));
        Assert.Equal("dotnet-isolated", app.At("properties.functionAppConfig.runtime.name"));
        Assert.Equal("10.0", app.At("properties.functionAppConfig.runtime.version"));
        var ready = app.GetProperty("properties").GetProperty("functionAppConfig").GetProperty("scaleAndConcurrency").GetProperty("alwaysReady");
        Assert.Equal("http", ready[0].At("name"));
        Assert.Equal("1", ready[0].At("instanceCount"));
    }

    [SkippableFact]
    public async Task Telemetry_is_taken_from_our_identity_only()
    {
        var deployment = await Bicep.Usual;

        Assert.Equal("True", Assert.Single(deployment.Of("Microsoft.Insights/components")).At("properties.DisableLocalAuth"));
        Assert.Equal("True", Assert.Single(deployment.Of("Microsoft.OperationalInsights/workspaces")).At("properties.features.disableLocalAuth"));
    }

    [SkippableFact]
    public async Task The_roles_are_these_and_no_others()
    {
        Assert.Equal(
            [
                "app: Key Vault Secrets User on vaults/kv-",
                "app: Monitoring Metrics Publisher on components/appi-",
                "app: Storage Blob Data Contributor on storageAccounts/stbackup/blobServices/default/containers/token-backups",
                "app: Storage Blob Data Owner on storageAccounts/sthost",
                "app: Storage Table Data Contributor on storageAccounts/sthost",
                "app: Storage Table Data Contributor on storageAccounts/sttokens/tableServices/default/tables/WixInstances",
                "00000000-dddd-0000-0000-000000000000: Key Vault Secrets Officer on vaults/kv-",
            ],
            Roles(await Bicep.Usual));
    }

    [SkippableFact]
    public async Task The_sweep_by_queue_needs_these_roles_queues_and_instances_besides()
    {
        var (usual, deployment) = (await Bicep.Usual, await Bicep.Guarded);
        var queueRoles = Roles(deployment).Except(Roles(usual)).Where(role => role.StartsWith("app", StringComparison.Ordinal));
        var ready = Assert.Single(deployment.Of("Microsoft.Web/sites")).GetProperty("properties").GetProperty("functionAppConfig").GetProperty("scaleAndConcurrency").GetProperty("alwaysReady");

        Assert.Equal(
            [
                "app: Storage Queue Data Message Processor on storageAccounts/sthost",
                "app: Storage Queue Data Message Sender on storageAccounts/sthost",
                "app: Storage Queue Data Reader on storageAccounts/sthost",
            ],
            queueRoles);
        Assert.Equal(
            ["refresh-shards", "refresh-shards-poison"],
            deployment.Of("Microsoft.Storage/storageAccounts/queueServices/queues").Select(queue => queue.At("name")!.Split('/')[^1]).Order(StringComparer.Ordinal));
        Assert.DoesNotContain(usual.All, resource => resource.At("type")!.Contains("queueServices", StringComparison.Ordinal));
        Assert.Equal("function:RefreshShard", ready[1].At("name"));
        Assert.Equal("2", ready[1].At("instanceCount"));
        Assert.Contains(
            deployment.Of("Microsoft.Network/privateDnsZones"),
            zone => zone.At("name")!.Contains("privatelink.queue.", StringComparison.Ordinal));
        Assert.Equal("managedidentity", deployment.AppSettings["Sweep__credential"]);
        Assert.DoesNotContain("AzureWebJobs.RefreshShard.Disabled", deployment.AppSettings.Keys);
        Assert.Equal("true", usual.AppSettings["AzureWebJobs.RefreshShard.Disabled"]);
        Assert.DoesNotContain(usual.AppSettings.Keys, name => name.StartsWith("Sweep", StringComparison.Ordinal));
    }

    [SkippableFact]
    public async Task Somebody_else_can_be_the_one_who_sets_secrets()
    {
        Assert.Equal(
            "00000000-cccc-0000-0000-000000000000: Key Vault Secrets Officer on vaults/kv-",
            Assert.Single(Roles(await Bicep.Guarded), role => role.Contains("Officer", StringComparison.Ordinal)));
    }

    [SkippableFact]
    public async Task The_names_of_role_assignments_are_the_same_in_every_deployment()
    {
        var names = Bicep.ResourcesOf(await Bicep.Template)
            .Where(resource => resource.At("type") == "Microsoft.Authorization/roleAssignments")
            .Select(resource => resource.At("name")!)
            .ToList();

        Assert.Equal(8, names.Count);
        Assert.All(names, name => Assert.Matches(@"^\[guid\(.*resourceId\(.*PrincipalId'\), variables\('\w+'\)(\[copyIndex\(\)\])?\)\]$", name));
    }

    [SkippableFact]
    public async Task A_deployment_neither_takes_nor_outputs_nor_reads_a_secret()
    {
        var template = await Bicep.Template;
        var text = template.ToString();

        Assert.DoesNotMatch(@"(?i)\blist\w*\(", text);
        Assert.DoesNotMatch("(?i)secure(string|object)", text);
        Assert.DoesNotMatch(@"(?i)getSecret\(|AccountKey=|SharedAccessSignature|InstrumentationKey|newGuid\(", text);
        Assert.DoesNotContain(Bicep.ResourcesOf(template), resource => resource.At("type")!.Contains("vaults/secrets", StringComparison.Ordinal));
        Assert.Equal(
            [
                "APP_URL", "AZURE_BACKUP_STORAGE_NAME", "AZURE_FUNCTION_APP_NAME", "AZURE_KEY_VAULT_NAME", "AZURE_LOCATION", "AZURE_LOG_ANALYTICS_WORKSPACE_NAME",
                "AZURE_RESOURCE_GROUP", "AZURE_TENANT_ID", "AZURE_TOKEN_STORAGE_NAME", "REDIRECT_URL", "WEBHOOK_URL",
            ],
            template.GetProperty("outputs").EnumerateObject().Select(output => output.Name).Order());
    }

    [SkippableFact]
    public async Task No_app_setting_holds_a_secret()
    {
        var settings = (await Bicep.Usual).AppSettings;

        // Of a connection string there is one; with local authentication off, it only tells where telemetry goes.
        Assert.Equal(
            ["APPLICATIONINSIGHTS_CONNECTION_STRING", "Events__SecretName", "Tokens__ProtectionKeyName", "Wix__AppSecretName", "Wix__WebhookPublicKey", "Wix__WebhookPublicKeyName"],
            settings.Keys.Where(name => SecretLike().IsMatch(name)).Order(StringComparer.Ordinal));
        Assert.Equal("events-secret", settings["Events__SecretName"]);
        Assert.Equal("wix-app-secret", settings["Wix__AppSecretName"]);
        Assert.Equal("token-protection-key", settings["Tokens__ProtectionKeyName"]);
        Assert.EndsWith(".applicationInsightsConnectionString.value]", settings["APPLICATIONINSIGHTS_CONNECTION_STRING"], StringComparison.Ordinal);
        Assert.DoesNotContain("AzureWebJobsStorage", settings.Keys);
    }

    [SkippableFact]
    public async Task A_private_network_closes_storage_and_Key_Vault_to_all_others()
    {
        var deployment = await Bicep.Guarded;

        Assert.All(
            deployment.Of("Microsoft.Storage/storageAccounts").Concat(deployment.Of("Microsoft.KeyVault/vaults")),
            resource =>
            {
                Assert.Equal("Disabled", resource.At("properties.publicNetworkAccess"));
                Assert.Equal("Deny", resource.At("properties.networkAcls.defaultAction"));

                // The rule that removes old copies is run by Azure, from outside.
                var isBackup = resource.At("name")!.StartsWith("stbackup", StringComparison.Ordinal);
                Assert.Equal(isBackup ? "AzureServices" : "None", resource.At("properties.networkAcls.bypass"));
            });
        Assert.Equal(
            ["kv-: vault", "stbackup: blob", "sthost: blob", "sthost: queue", "sthost: table", "sttokens: table"],
            deployment.Of("Microsoft.Network/privateEndpoints")
                .Select(endpoint => endpoint.GetProperty("properties").GetProperty("privateLinkServiceConnections")[0].GetProperty("properties"))
                .Select(to => $"{KindOf(to.At("privateLinkServiceId")!.Split('/')[^1])}: {to.GetProperty("groupIds")[0]}")
                .Order(StringComparer.Ordinal));
        Assert.Contains("functionSubnetId", Assert.Single(deployment.Of("Microsoft.Web/sites")).At("properties.virtualNetworkSubnetId"), StringComparison.Ordinal);
        var subnets = Assert.Single(deployment.Of("Microsoft.Network/virtualNetworks")).GetProperty("properties").GetProperty("subnets");
        Assert.Equal("Microsoft.App/environments", subnets[0].GetProperty("properties").GetProperty("delegations")[0].At("properties.serviceName"));
    }

    /// <summary>A running app would be cut off if they closed before it is in the network.</summary>
    [SkippableFact]
    public async Task A_network_that_is_prepared_has_the_app_in_it_and_closes_nothing()
    {
        var deployment = await Bicep.WithAsync(("PRIVATE_NETWORK", "prepare"));

        Assert.All(
            deployment.Of("Microsoft.Storage/storageAccounts").Concat(deployment.Of("Microsoft.KeyVault/vaults")),
            resource =>
            {
                Assert.Equal("Enabled", resource.At("properties.publicNetworkAccess"));
                Assert.Equal("Allow", resource.At("properties.networkAcls.defaultAction"));
            });
        Assert.Equal(5, deployment.Of("Microsoft.Network/privateEndpoints").Count);
        Assert.Contains("functionSubnetId", Assert.Single(deployment.Of("Microsoft.Web/sites")).At("properties.virtualNetworkSubnetId"), StringComparison.Ordinal);
    }

    [SkippableFact]
    public async Task Entra_ID_stands_before_every_route_but_those_for_browsers_and_Wix()
    {
        var authentication = (await Bicep.Guarded).Named("Microsoft.Web/sites/config", "/authsettingsV2").GetProperty("properties");
        var excluded = authentication.GetProperty("globalValidation").GetProperty("excludedPaths").EnumerateArray().Select(path => path.GetString()!).ToList();
        var source = string.Concat(Directory.EnumerateFiles(Path.Combine(Bicep.Root, "WixOAuth.Functions"), "*.cs").Select(File.ReadAllText));
        var routes = Routes().Matches(source).ToLookup(match => match.Groups["level"].Value, match => $"/api/{match.Groups["route"].Value}");

        Assert.Equal("True", authentication.At("platform.enabled"));
        Assert.Equal("True", authentication.At("globalValidation.requireAuthentication"));
        Assert.Equal("Return401", authentication.At("globalValidation.unauthenticatedClientAction"));
        Assert.Equal("[\"00000000-aaaa-0000-0000-000000000000\",\"api://00000000-aaaa-0000-0000-000000000000\"]", authentication.At("identityProviders.azureActiveDirectory.validation.allowedAudiences")!.ReplaceLineEndings("").Replace(" ", "", StringComparison.Ordinal));
        Assert.Contains("00000000-bbbb-0000-0000-000000000000", authentication.At("identityProviders.azureActiveDirectory.validation.defaultAuthorizationPolicy.allowedApplications"), StringComparison.Ordinal);
        Assert.NotEmpty(routes["Anonymous"]);
        Assert.NotEmpty(routes["Function"]);
        Assert.Empty(routes["Anonymous"].Except(excluded));

        // A path without a wildcard stands for itself.
        Assert.DoesNotContain(excluded, path => path.Contains('*', StringComparison.Ordinal));
        Assert.Empty(routes["Function"].Intersect(excluded));
    }

    /// <summary>A deployment removes nothing: what is not deployed any more stays on.</summary>
    [SkippableFact]
    public async Task Without_its_client_id_Entra_ID_is_switched_off()
    {
        var authentication = (await Bicep.Usual).Named("Microsoft.Web/sites/config", "/authsettingsV2").GetProperty("properties");

        Assert.Equal("False", authentication.At("platform.enabled"));
        Assert.Null(authentication.At("identityProviders"));
    }

    [SkippableFact]
    public async Task Every_resource_that_can_bear_it_has_the_tag_of_azd()
    {
        var deployment = await Bicep.Guarded;

        Assert.All(
            deployment.All.Where(resource => resource.TryGetProperty("location", out _)),
            resource => Assert.Equal("test", resource.At("tags.azd-env-name")));
        Assert.Equal("functions", Assert.Single(deployment.Of("Microsoft.Web/sites")).At("tags.azd-service-name"));
        Assert.Contains("\n  functions:\n", File.ReadAllText(Path.Combine(Bicep.Root, "azure.yaml")), StringComparison.Ordinal);
    }

    private static IEnumerable<string> Roles(Deployment deployment) =>
        deployment.Of("Microsoft.Authorization/roleAssignments")
            .Select(assignment =>
            {
                var who = assignment.At("properties.principalId")!;
                var scope = Scope().Match(assignment.At("id")!);
                return $"{(who.EndsWith("outputs.principalId.value]", StringComparison.Ordinal) ? "app" : who)}: " +
                    $"{s_roles[assignment.At("properties.roleDefinitionId")!.Split('/')[^1]]} on {scope.Groups[1].Value}/{KindOf(scope.Groups[2].Value)}{scope.Groups[3].Value}";
            })
            .OrderBy(role => !role.StartsWith("app", StringComparison.Ordinal))
            .ThenBy(role => role, StringComparer.Ordinal);

    /// <summary>A name without the 13 characters that make it unique.</summary>
    private static string KindOf(string name) => name[..^13];

    [GeneratedRegex("(?i)secret|key(?!vault__vaulturi)|password|connection|sas")]
    private static partial Regex SecretLike();

    [GeneratedRegex("/resourceGroups/rg-test/providers/[^/]+/([^/]+)/([^/']+)((?:/(?!providers/)[^/']+)*)")]
    private static partial Regex Scope();

    [GeneratedRegex("""HttpTrigger\(AuthorizationLevel\.(?<level>\w+),[^\]]*Route = "(?<route>[^"]+)"\)""")]
    private static partial Regex Routes();
}
