using 'main.bicep'

// Set with `azd env set NAME value`; azd sets those that begin with AZURE_ itself.
param environmentName = readEnvironmentVariable('AZURE_ENV_NAME')
param location = readEnvironmentVariable('AZURE_LOCATION')
param wixAppId = readEnvironmentVariable('WIX_APP_ID')
param alertEmail = readEnvironmentVariable('ALERT_EMAIL')

param wixWebhookPublicKey = readEnvironmentVariable('WIX_WEBHOOK_PUBLIC_KEY', '')
// Choose before the first install: the event that OnInstall and ByApp send cannot be undone (see main.bicep).
param wixSetupCompletion = readEnvironmentVariable('WIX_SETUP_COMPLETION', 'OnInstall')
param wixClientCredentialsFallback = bool(readEnvironmentVariable('WIX_CLIENT_CREDENTIALS_FALLBACK', 'true'))
param customDomain = readEnvironmentVariable('CUSTOM_DOMAIN', '')
param redirectUrl = readEnvironmentVariable('REDIRECT_URL_OVERRIDE', '')

param alwaysReadyHttpInstances = int(readEnvironmentVariable('ALWAYS_READY_HTTP_INSTANCES', '1'))
param maximumInstanceCount = int(readEnvironmentVariable('MAXIMUM_INSTANCE_COUNT', '40'))
param instanceMemoryMB = any(int(readEnvironmentVariable('INSTANCE_MEMORY_MB', '2048')))
param zoneRedundant = bool(readEnvironmentVariable('ZONE_REDUNDANT', 'false'))

param refreshConcurrency = int(readEnvironmentVariable('REFRESH_CONCURRENCY', '64'))
param sweepBy = readEnvironmentVariable('SWEEP_BY', 'Timer')
param alwaysReadyShardInstances = int(readEnvironmentVariable('ALWAYS_READY_SHARD_INSTANCES', '0'))
param wixPreferredGrant = readEnvironmentVariable('WIX_PREFERRED_GRANT', 'RefreshToken')
param eventsUrl = readEnvironmentVariable('EVENTS_URL', '')
param idleAfter = readEnvironmentVariable('IDLE_AFTER', '01:00:00')
param refreshSchedule = readEnvironmentVariable('REFRESH_SCHEDULE', '0 * * * * *')
param housekeepingSchedule = readEnvironmentVariable('HOUSEKEEPING_SCHEDULE', '0 17 3 * * *')

param tokenStorageSku = readEnvironmentVariable('TOKEN_STORAGE_SKU', '')
param hostStorageSku = readEnvironmentVariable('HOST_STORAGE_SKU', '')
param logRetentionInDays = int(readEnvironmentVariable('LOG_RETENTION_IN_DAYS', '30'))
param logDailyCapGb = int(readEnvironmentVariable('LOG_DAILY_CAP_GB', '10'))
param auditTableDeletes = bool(readEnvironmentVariable('AUDIT_TABLE_DELETES', 'true'))
param lockResources = bool(readEnvironmentVariable('LOCK_RESOURCES', 'false'))

// Whoever runs azd, unless somebody else is named: a pipeline has no business with the secrets.
param vaultOfficerPrincipalId = readEnvironmentVariable(
  'VAULT_OFFICER_PRINCIPAL_ID',
  readEnvironmentVariable('AZURE_PRINCIPAL_ID', '')
)
param vaultOfficerPrincipalType = readEnvironmentVariable('VAULT_OFFICER_PRINCIPAL_TYPE', 'User')

// PowerShell's $true is stored as True.
param privateNetwork = toLower(readEnvironmentVariable('PRIVATE_NETWORK', 'false'))
param entraClientId = readEnvironmentVariable('ENTRA_CLIENT_ID', '')
param tokenAudience = readEnvironmentVariable('TOKEN_AUDIENCE', '')
param entraAllowedApplications = json(readEnvironmentVariable('ENTRA_ALLOWED_APPLICATIONS', '[]'))
