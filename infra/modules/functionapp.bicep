param name string
param planName string
param location string
param tags object
param identityId string
param identityClientId string
param subnetId string
param packageContainerUrl string
param hostBlobEndpoint string
param hostTableEndpoint string
param tableEndpoint string
param tableName string
param vaultUri string
param applicationInsightsConnectionString string
param alwaysReadyHttpInstances int
param maximumInstanceCount int
param instanceMemoryMB int
param wixAppId string
param wixWebhookPublicKey string
param wixSetupCompletion string
param wixClientCredentialsFallback bool
param customDomain string
param redirectUrl string
param entraClientId string
param tokenAudience string
param entraAllowedApplications string[]
param idleAfter string
param refreshConcurrency int
param refreshSchedule string
param housekeepingSchedule string

var host = empty(customDomain) ? app.properties.defaultHostName : customDomain
var registeredRedirectUrl = empty(redirectUrl) ? 'https://${host}/api/redirect' : redirectUrl

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: { tier: 'FlexConsumption', name: 'FC1' }
  // Linux: on Windows the host cuts query strings at 4,096 characters, and Wix's codes may be longer.
  properties: { reserved: true }
}

resource app 'Microsoft.Web/sites@2024-04-01' = {
  name: name
  location: location
  tags: union(tags, { 'azd-service-name': 'functions' })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identityId}': {} }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    // Site owners' browsers and Wix's servers come from everywhere.
    publicNetworkAccess: 'Enabled'
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    keyVaultReferenceIdentity: identityId
    siteConfig: {
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      ftpsState: 'Disabled'
      http20Enabled: true
    }
    functionAppConfig: {
      runtime: { name: 'dotnet-isolated', version: '10.0' }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maximumInstanceCount
        alwaysReady: alwaysReadyHttpInstances == 0 ? [] : [{ name: 'http', instanceCount: alwaysReadyHttpInstances }]
      }
      deployment: {
        storage: {
          type: 'blobContainer'
          value: packageContainerUrl
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
    }
  }

  resource ftpCredentials 'basicPublishingCredentialsPolicies' = {
    name: 'ftp'
    properties: { allow: false }
  }

  resource scmCredentials 'basicPublishingCredentialsPolicies' = {
    name: 'scm'
    properties: { allow: false }
  }

  // Apart from the site, whose host name is known only when it exists.
  resource settings 'config' = {
    name: 'appsettings'
    properties: {
      AzureWebJobsStorage__credential: 'managedidentity'
      AzureWebJobsStorage__clientId: identityClientId
      AzureWebJobsStorage__blobServiceUri: hostBlobEndpoint
      AzureWebJobsStorage__tableServiceUri: hostTableEndpoint
      // Names where telemetry goes. It lets nobody in: local authentication is off.
      APPLICATIONINSIGHTS_CONNECTION_STRING: applicationInsightsConnectionString
      APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityClientId};Authorization=AAD'
      AZURE_CLIENT_ID: identityClientId
      RefreshSchedule: refreshSchedule
      HousekeepingSchedule: housekeepingSchedule
      Wix__AppId: wixAppId
      Wix__RedirectUrl: registeredRedirectUrl
      Wix__AppSecretName: 'wix-app-secret'
      Wix__WebhookPublicKey: wixWebhookPublicKey
      Wix__WebhookPublicKeyName: empty(wixWebhookPublicKey) ? 'wix-webhook-public-key' : ''
      Wix__SetupCompletion: wixSetupCompletion
      Wix__ClientCredentialsFallback: string(wixClientCredentialsFallback)
      KeyVault__VaultUri: vaultUri
      Tables__ServiceUri: tableEndpoint
      Tables__Name: tableName
      Tokens__IdleAfter: idleAfter
      Tokens__RefreshConcurrency: string(refreshConcurrency)
      Tokens__ProtectionKeyName: 'token-protection-key'
    }
  }

  resource authentication 'config' = if (!empty(entraClientId)) {
    name: 'authsettingsV2'
    properties: {
      platform: { enabled: true }
      globalValidation: {
        requireAuthentication: true
        unauthenticatedClientAction: 'Return401'
        // What browsers and Wix's servers open without an Entra ID token; the operators' page has no data before its sign-in.
        excludedPaths: [
          '/api/install'
          '/api/redirect'
          '/api/webhooks'
          '/api/health'
          '/api/status'
        ]
      }
      httpSettings: { requireHttps: true }
      login: {
        tokenStore: { enabled: false }
      }
      identityProviders: {
        azureActiveDirectory: {
          enabled: true
          registration: {
            clientId: entraClientId
            openIdIssuer: '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
          }
          validation: {
            allowedAudiences: [empty(tokenAudience) ? 'api://${entraClientId}' : tokenAudience]
            defaultAuthorizationPolicy: empty(entraAllowedApplications)
              ? null
              : { allowedApplications: entraAllowedApplications }
          }
        }
      }
    }
  }
}

output name string = app.name
output appUrl string = 'https://${host}/api/install'
output redirectUrl string = registeredRedirectUrl
output webhookUrl string = 'https://${host}/api/webhooks'
