targetScope = 'subscription'

@minLength(1)
@maxLength(40)
@description('The name of the azd environment, such as "production". Names and the tag azd-env-name are made of it.')
param environmentName string

@description('The Azure region. Only regions that offer Flex Consumption; az functionapp list-flexconsumption-locations prints the current list.')
@allowed([
  'australiaeast'
  'australiasoutheast'
  'brazilsouth'
  'canadacentral'
  'centralindia'
  'centralus'
  'eastasia'
  'eastus'
  'eastus2'
  'francecentral'
  'germanywestcentral'
  'italynorth'
  'japaneast'
  'koreacentral'
  'northcentralus'
  'northeurope'
  'norwayeast'
  'southafricanorth'
  'southcentralus'
  'southeastasia'
  'southindia'
  'spaincentral'
  'swedencentral'
  'uaenorth'
  'uksouth'
  'ukwest'
  'westcentralus'
  'westeurope'
  'westus'
  'westus2'
  'westus3'
])
@metadata({ azd: { type: 'location' } })
param location string

@minLength(1)
@maxLength(100)
@description('Wix__AppId: the app\'s id on Wix\'s dashboard. It is no secret.')
param wixAppId string

@maxLength(20000)
@description('Wix__WebhookPublicKey: the public key on the app\'s dashboard, PEM or base64 of it. Better empty: then it is read from the Key Vault secret wix-webhook-public-key, and can be changed without a restart. Without either, every webhook is answered with 401.')
param wixWebhookPublicKey string = ''

@allowed(['OnInstall', 'ByApp', 'Never'])
@description('Wix__SetupCompletion: when Wix is told that a site\'s set-up is finished. OnInstall tells it at once; ByApp when your app calls CompleteSetup; Never is only for an app that has never sent the event. Choose before the first install: once an app has ever sent the event, Wix shows every later install as "Setup incomplete" until it is sent for that one too, and this cannot be undone.')
param wixSetupCompletion string = 'OnInstall'

@description('Wix__ClientCredentialsFallback: use the newer grant for a site whose refresh token Wix rejects.')
param wixClientCredentialsFallback bool = true

@maxLength(253)
@description('The host name that Wix\'s dashboard knows, when it is not the Function App\'s own. The binding and its certificate are made by hand: see docs/operations.md.')
param customDomain string = ''

@description('The registered Redirect URL, if it is to be another than https://<host>/api/redirect, for example behind a front door. It must be on one host with the App URL.')
param redirectUrl string = ''

@description('Who is told of trouble, besides the list of alerts in the portal.')
@minLength(6)
@maxLength(254)
param alertEmail string

@description('Whose object id may set secrets in Key Vault. Empty: nobody, until an owner grants it.')
param vaultOfficerPrincipalId string = ''

@allowed(['User', 'Group', 'ServicePrincipal'])
@description('What vaultOfficerPrincipalId is.')
param vaultOfficerPrincipalType string = 'User'

@minValue(0)
@maxValue(100)
@description('HTTP instances that are always there. One is the least with which Wix\'s webhooks, which have to be answered within 1.25 s, never meet a cold start.')
param alwaysReadyHttpInstances int = 1

@minValue(1)
@maxValue(1000)
@description('The most instances that Azure may start.')
param maximumInstanceCount int = 40

@allowed([512, 2048, 4096])
@description('The memory of an instance in MB; its share of CPU goes with it.')
param instanceMemoryMB int = 2048

@allowed(['', 'Standard_LRS', 'Standard_ZRS', 'Standard_GRS', 'Standard_GZRS'])
@description('How the token storage account is replicated. Empty: Standard_ZRS where the region has availability zones, else Standard_LRS. See docs/standby.md for the loss of a region.')
param tokenStorageSku string = ''

@allowed(['', 'Standard_LRS', 'Standard_ZRS'])
@description('How the host storage account is replicated. Empty: Standard_ZRS where the region has availability zones, else Standard_LRS. The whole app stops within a minute of losing this account.')
param hostStorageSku string = ''

@description('Spread the instances over availability zones. Azure then keeps two always-ready instances for each scale group (HTTP, and each timer and queue function) and bills them: see docs/azure.md. Only in regions that az functionapp list-flexconsumption-locations --zone-redundant=true prints.')
param zoneRedundant bool = false

@minValue(30)
@maxValue(730)
@description('How long logs and metrics are kept, in days.')
param logRetentionInDays int = 30

@minValue(1)
@maxValue(1000)
@description('The most that Log Analytics takes in a day, in GB. Past it no telemetry arrives until the next day, and most alerts are blind: log-cap says so. See docs/scale.md for what your number of sites writes.')
param logDailyCapGb int = 10

@description('Log every delete in the token storage account. With false a new deployment logs none; what logs already is removed with the command in docs/operations.md (log-cap). The alert table-deleted needs it.')
param auditTableDeletes bool = true

@description('Lock the vault and all three storage accounts against deletion. Whoever deploys then needs the role Locks Contributor, and azd down fails until the locks are removed.')
param lockResources bool = false

@allowed(['false', 'prepare', 'true'])
@description('A virtual network with private endpoints for all three storage accounts and Key Vault. With true they answer nobody else: set the secrets before, because afterwards the vault can be reached from inside only. With prepare the app is in the network already and they still answer the public network too: the step before true for an app that is running. See docs/operations.md.')
param privateNetwork string = 'false'

@description('The application (client) id of an app registration. With it, callers of every route that is not for browsers or Wix also need an Entra ID token. See docs/operations.md for what this does and does not do.')
param entraClientId string = ''

@description('The audience that callers\' tokens have to be for; the client id or api://<client id> when empty.')
param tokenAudience string = ''

@description('The application ids that may call with such tokens. Without any, whatever application of the tenant has a token for the audience may.')
param entraAllowedApplications string[] = []

@allowed(['RefreshToken', 'ClientCredentials'])
@description('Wix__PreferredGrant: which grant is tried first. Refresh tokens are kept either way. See docs/bridge.md.')
param wixPreferredGrant string = 'RefreshToken'

@description('Events__Url: where events about your sites are sent; https. Put the secret that signs them into the vault as events-secret before. Empty: none are sent.')
param eventsUrl string = ''

@description('Tokens__IdleAfter: how long a site that nobody asks for is kept warm.')
param idleAfter string = '01:00:00'

@minValue(1)
@maxValue(1024)
@description('Tokens__RefreshConcurrency: how many tokens a sweep refreshes at a time.')
param refreshConcurrency int = 64

@allowed(['Timer', 'Queue'])
@description('Tokens__SweepBy: what refreshes the sites that are due. Timer: one instance. Queue: the timer sends a message for each of the 16 shards, and Azure runs as many instances as it takes. See docs/scale.md for when.')
param sweepBy string = 'Timer'

@minValue(0)
@maxValue(16)
@description('Instances of the function RefreshShard that are always there, with sweepBy Queue.')
param alwaysReadyShardInstances int = 0

@description('RefreshSchedule: a six-field cron expression, in UTC.')
param refreshSchedule string = '0 * * * * *'

@description('HousekeepingSchedule: a six-field cron expression, in UTC.')
param housekeepingSchedule string = '0 17 3 * * *'

var tags = { 'azd-env-name': environmentName }
var resourceToken = toLower(uniqueString(subscription().id, environmentName, location))

// By name and not by the modules' outputs, so that what a role is for and what it is on can be read before a deployment.
var hostStorageName = 'sthost${resourceToken}'
var tokenStorageName = 'sttokens${resourceToken}'
var keyVaultName = 'kv-${resourceToken}'
var applicationInsightsName = 'appi-${resourceToken}'
var packageContainer = 'packages'
var tableName = 'WixInstances'
var backupStorageName = 'stbackup${resourceToken}'
var backupContainer = 'token-backups'
var byQueue = sweepBy == 'Queue'
var isInNetwork = privateNetwork != 'false'
// In two steps, because accounts and vault come before the endpoints and these before the app: closed at once, a running
// app would reach neither until it is in the network.
var publicNetworkAccess = privateNetwork != 'true'

// Regions of the list above without availability zones: zone-redundant storage does not exist there.
var regionsWithoutZones = [
  'australiasoutheast'
  'northcentralus'
  'southindia'
  'ukwest'
  'westcentralus'
  'westus'
]
var defaultStorageSku = contains(regionsWithoutZones, location) ? 'Standard_LRS' : 'Standard_ZRS'

resource resourceGroup 'Microsoft.Resources/resourceGroups@2024-03-01' = {
  name: 'rg-${environmentName}'
  location: location
  tags: tags
}

module identity 'modules/identity.bicep' = {
  scope: resourceGroup
  params: {
    name: 'id-${resourceToken}'
    location: location
    tags: tags
  }
}

module observability 'modules/observability.bicep' = {
  scope: resourceGroup
  params: {
    resourceToken: resourceToken
    applicationInsightsName: applicationInsightsName
    location: location
    tags: tags
    retentionInDays: logRetentionInDays
    dailyCapGb: logDailyCapGb
    alertEmail: alertEmail
    byQueue: byQueue
  }
}

// Two accounts: the host writes its keys, leases and packages, and its role on the blobs is Owner. None of that should
// reach what this service is there to protect, and a full or throttled host must not slow the tokens down.
module hostStorage 'modules/storage.bicep' = {
  scope: resourceGroup
  params: {
    name: hostStorageName
    location: location
    tags: tags
    skuName: empty(hostStorageSku) ? defaultStorageSku : hostStorageSku
    lock: lockResources
    publicNetworkAccess: publicNetworkAccess
    containers: [packageContainer]
    queues: byQueue ? ['refresh-shards', 'refresh-shards-poison'] : []
  }
}

module tokenStorage 'modules/storage.bicep' = {
  scope: resourceGroup
  params: {
    name: tokenStorageName
    location: location
    tags: tags
    skuName: empty(tokenStorageSku) ? defaultStorageSku : tokenStorageSku
    lock: lockResources
    auditWorkspaceId: auditTableDeletes ? observability.outputs.workspaceId : ''
    publicNetworkAccess: publicNetworkAccess
    tables: [tableName]
  }
}

// Replicated as the tokens are: with Standard_GRS both outlive a region.
module backup 'modules/backup.bicep' = {
  scope: resourceGroup
  params: {
    name: backupStorageName
    location: location
    tags: tags
    skuName: empty(tokenStorageSku) ? defaultStorageSku : tokenStorageSku
    lock: lockResources
    publicNetworkAccess: publicNetworkAccess
    container: backupContainer
  }
}

module keyVault 'modules/keyvault.bicep' = {
  scope: resourceGroup
  params: {
    name: keyVaultName
    location: location
    tags: tags
    publicNetworkAccess: publicNetworkAccess
    workspaceId: observability.outputs.workspaceId
    lock: lockResources
  }
}

module access 'modules/access.bicep' = {
  scope: resourceGroup
  params: {
    appPrincipalId: identity.outputs.principalId
    hostStorageName: hostStorageName
    tokenStorageName: tokenStorageName
    tableName: tableName
    backupStorageName: backupStorageName
    backupContainer: backupContainer
    keyVaultName: keyVaultName
    applicationInsightsName: applicationInsightsName
    byQueue: byQueue
    vaultOfficerPrincipalId: vaultOfficerPrincipalId
    vaultOfficerPrincipalType: vaultOfficerPrincipalType
  }
  dependsOn: [hostStorage, tokenStorage, backup, keyVault, observability]
}

module network 'modules/network.bicep' = if (isInNetwork) {
  scope: resourceGroup
  params: {
    name: 'vnet-${resourceToken}'
    location: location
    tags: tags
    hostStorageName: hostStorageName
    tokenStorageName: tokenStorageName
    backupStorageName: backupStorageName
    keyVaultName: keyVaultName
    byQueue: byQueue
  }
  dependsOn: [hostStorage, tokenStorage, backup, keyVault]
}

module functionApp 'modules/functionapp.bicep' = {
  scope: resourceGroup
  params: {
    name: 'func-${resourceToken}'
    planName: 'plan-${resourceToken}'
    location: location
    tags: tags
    identityId: identity.outputs.id
    identityClientId: identity.outputs.clientId
    subnetId: isInNetwork ? network!.outputs.functionSubnetId : ''
    packageContainerUrl: '${hostStorage.outputs.blobEndpoint}${packageContainer}'
    hostBlobEndpoint: hostStorage.outputs.blobEndpoint
    hostTableEndpoint: hostStorage.outputs.tableEndpoint
    queueEndpoint: hostStorage.outputs.queueEndpoint
    tableEndpoint: tokenStorage.outputs.tableEndpoint
    tableName: tableName
    backupBlobEndpoint: backup.outputs.blobEndpoint
    backupContainer: backupContainer
    vaultUri: keyVault.outputs.uri
    applicationInsightsConnectionString: observability.outputs.applicationInsightsConnectionString
    alwaysReadyHttpInstances: alwaysReadyHttpInstances
    maximumInstanceCount: maximumInstanceCount
    zoneRedundant: zoneRedundant
    instanceMemoryMB: instanceMemoryMB
    wixAppId: wixAppId
    wixWebhookPublicKey: wixWebhookPublicKey
    wixSetupCompletion: wixSetupCompletion
    wixClientCredentialsFallback: wixClientCredentialsFallback
    wixPreferredGrant: wixPreferredGrant
    eventsUrl: eventsUrl
    customDomain: customDomain
    redirectUrl: redirectUrl
    entraClientId: entraClientId
    tokenAudience: tokenAudience
    entraAllowedApplications: entraAllowedApplications
    idleAfter: idleAfter
    refreshConcurrency: refreshConcurrency
    byQueue: byQueue
    alwaysReadyShardInstances: alwaysReadyShardInstances
    refreshSchedule: refreshSchedule
    housekeepingSchedule: housekeepingSchedule
  }
  // The app reads its package, its secrets and its table as soon as it starts.
  dependsOn: [access]
}

@description('For Wix\'s dashboard.')
output APP_URL string = functionApp.outputs.appUrl

@description('For Wix\'s dashboard.')
output REDIRECT_URL string = functionApp.outputs.redirectUrl

@description('For Wix\'s dashboard: the callback of AppInstalled and AppRemoved.')
output WEBHOOK_URL string = functionApp.outputs.webhookUrl

output AZURE_LOCATION string = location
output AZURE_TENANT_ID string = tenant().tenantId
output AZURE_RESOURCE_GROUP string = resourceGroup.name
output AZURE_FUNCTION_APP_NAME string = functionApp.outputs.name
output AZURE_KEY_VAULT_NAME string = keyVaultName
output AZURE_TOKEN_STORAGE_NAME string = tokenStorageName
output AZURE_BACKUP_STORAGE_NAME string = backupStorageName
output AZURE_LOG_ANALYTICS_WORKSPACE_NAME string = observability.outputs.workspaceName
