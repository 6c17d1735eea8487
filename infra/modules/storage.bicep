@minLength(3)
@maxLength(24)
param name string
param location string
param tags object
param skuName string
param publicNetworkAccess bool
param lock bool
@description('Which of Azure\'s own services may pass where the network is closed.')
@allowed(['None', 'AzureServices'])
param bypass string = 'None'
@description('The workspace that deletes in the tables are logged to; empty for none.')
param auditWorkspaceId string = ''
param containers string[] = []
param tables string[] = []
param queues string[] = []

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: skuName }
  properties: {
    accessTier: 'Hot'
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowedCopyScope: 'AAD'
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: publicNetworkAccess ? 'Enabled' : 'Disabled'
    networkAcls: {
      // Open to the network, closed by identity: without a virtual network the app has no address to admit.
      defaultAction: publicNetworkAccess ? 'Allow' : 'Deny'
      bypass: bypass
    }
  }
}

resource blobService 'Microsoft.Storage/storageAccounts/blobServices@2025-06-01' = if (!empty(containers)) {
  parent: account
  name: 'default'
  properties: {
    // The functions' keys are blobs here; losing them would answer every install with 500.
    deleteRetentionPolicy: { enabled: true, days: 14 }
    containerDeleteRetentionPolicy: { enabled: true, days: 14 }
  }

  resource container 'containers' = [
    for container in containers: {
      name: container
      properties: { publicAccess: 'None' }
    }
  ]
}

resource tableService 'Microsoft.Storage/storageAccounts/tableServices@2025-06-01' = if (!empty(tables)) {
  parent: account
  name: 'default'

  resource table 'tables' = [
    for table in tables: {
      name: table
    }
  ]
}

resource queueService 'Microsoft.Storage/storageAccounts/queueServices@2025-06-01' = if (!empty(queues)) {
  parent: account
  name: 'default'

  resource queue 'queues' = [
    for queue in queues: {
      name: queue
    }
  ]
}

resource tableAudit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (!empty(tables) && !empty(auditWorkspaceId)) {
  scope: tableService
  name: 'audit'
  properties: {
    workspaceId: auditWorkspaceId
    logs: [{ category: 'StorageDelete', enabled: true }]
  }
}

resource deletionLock 'Microsoft.Authorization/locks@2020-05-01' = if (lock) {
  scope: account
  name: 'no-deletion'
  properties: {
    level: 'CanNotDelete'
    notes: 'WixOAuth stops without this account.'
  }
}

output blobEndpoint string = account.properties.primaryEndpoints.blob
output tableEndpoint string = account.properties.primaryEndpoints.table
output queueEndpoint string = account.properties.primaryEndpoints.queue
