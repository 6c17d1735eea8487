param name string
param location string
param tags object
param hostStorageName string
param tokenStorageName string
param backupStorageName string
param keyVaultName string
param byQueue bool

resource hostStorage 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: hostStorageName
}

resource tokenStorage 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: tokenStorageName
}

resource backupStorage 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: backupStorageName
}

resource keyVault 'Microsoft.KeyVault/vaults@2026-02-01' existing = {
  name: keyVaultName
}

var blobZone = 'privatelink.blob.${environment().suffixes.storage}'
var tableZone = 'privatelink.table.${environment().suffixes.storage}'
// environment().suffixes.keyvaultDns is the public suffix, which has another name here.
var vaultZone = 'privatelink.vaultcore.azure.net'
var queueZone = 'privatelink.queue.${environment().suffixes.storage}'
var zones = concat([blobZone, tableZone, vaultZone], byQueue ? [queueZone] : [])

// No files: nothing here uses them, and the accounts answer nobody else.
var usualEndpoints = [
  { name: 'host-blob', resourceId: hostStorage.id, groupId: 'blob', zone: 0 }
  { name: 'host-table', resourceId: hostStorage.id, groupId: 'table', zone: 1 }
  { name: 'tokens-table', resourceId: tokenStorage.id, groupId: 'table', zone: 1 }
  { name: 'backups-blob', resourceId: backupStorage.id, groupId: 'blob', zone: 0 }
  { name: 'keyvault', resourceId: keyVault.id, groupId: 'vault', zone: 2 }
]
var endpoints = concat(
  usualEndpoints,
  byQueue ? [{ name: 'host-queue', resourceId: hostStorage.id, groupId: 'queue', zone: 3 }] : []
)

resource network 'Microsoft.Network/virtualNetworks@2024-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    addressSpace: { addressPrefixes: ['10.80.0.0/24'] }
    subnets: [
      {
        name: 'functions'
        properties: {
          // Flex Consumption takes an address for every instance it runs.
          addressPrefix: '10.80.0.0/25'
          delegations: [
            {
              name: 'flex-consumption'
              properties: { serviceName: 'Microsoft.App/environments' }
            }
          ]
        }
      }
      {
        name: 'endpoints'
        properties: {
          addressPrefix: '10.80.0.128/27'
          privateEndpointNetworkPolicies: 'Disabled'
        }
      }
    ]
  }

  resource functions 'subnets' existing = {
    name: 'functions'
  }

  resource endpoints 'subnets' existing = {
    name: 'endpoints'
  }
}

resource privateZones 'Microsoft.Network/privateDnsZones@2024-06-01' = [
  for zone in zones: {
    name: zone
    location: 'global'
    tags: tags
  }
]

resource links 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [
  for (zone, i) in zones: {
    parent: privateZones[i]
    name: name
    location: 'global'
    tags: tags
    properties: {
      registrationEnabled: false
      virtualNetwork: { id: network.id }
    }
  }
]

// A storage account takes one at a time.
@batchSize(1)
resource privateEndpoints 'Microsoft.Network/privateEndpoints@2024-05-01' = [
  for endpoint in endpoints: {
    name: 'pep-${endpoint.name}'
    location: location
    tags: tags
    properties: {
      subnet: { id: network::endpoints.id }
      privateLinkServiceConnections: [
        {
          name: endpoint.name
          properties: {
            privateLinkServiceId: endpoint.resourceId
            groupIds: [endpoint.groupId]
          }
        }
      ]
    }
  }
]

@batchSize(1)
resource zoneGroups 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-05-01' = [
  for (endpoint, i) in endpoints: {
    parent: privateEndpoints[i]
    name: 'default'
    properties: {
      privateDnsZoneConfigs: [
        {
          name: endpoint.groupId
          properties: { privateDnsZoneId: privateZones[endpoint.zone].id }
        }
      ]
    }
    dependsOn: [links]
  }
]

output functionSubnetId string = network::functions.id
