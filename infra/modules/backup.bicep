// The copies of the token table: an account of their own, so that whoever deletes the tokens' account leaves them.

param name string
param location string
param tags object
param skuName string
param publicNetworkAccess bool
param lock bool
param container string

@description('How long a copy is kept, in days. The ids of forgotten instances are kept as long, which is longer than any copy that holds them.')
param keptForDays int = 35

module storage 'storage.bicep' = {
  name: 'backup-storage'
  params: {
    name: name
    location: location
    tags: tags
    skuName: skuName
    lock: lock
    publicNetworkAccess: publicNetworkAccess
    // The lifecycle rule is run by a service of Azure's, which a closed network may block: old copies would stay.
    bypass: publicNetworkAccess ? 'None' : 'AzureServices'
    containers: [container]
  }
}

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: name
}

resource lifecycle 'Microsoft.Storage/storageAccounts/managementPolicies@2025-06-01' = {
  parent: account
  name: 'default'
  properties: {
    policy: {
      rules: [
        {
          name: 'old-copies'
          enabled: true
          type: 'Lifecycle'
          definition: {
            filters: {
              blobTypes: ['blockBlob']
              prefixMatch: ['${container}/']
            }
            actions: {
              baseBlob: { delete: { daysAfterModificationGreaterThan: keptForDays } }
            }
          }
        }
      ]
    }
  }
  dependsOn: [storage]
}

output blobEndpoint string = storage.outputs.blobEndpoint
