param resourceToken string
param applicationInsightsName string
param location string
param tags object
param retentionInDays int
param dailyCapGb int
param alertEmail string
param byQueue bool

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-02-01' = {
  name: 'log-${resourceToken}'
  location: location
  tags: tags
  properties: {
    sku: { name: 'PerGB2018' }
    retentionInDays: retentionInDays
    workspaceCapping: { dailyQuotaGb: dailyCapGb }
    features: { disableLocalAuth: true }
  }
}

resource applicationInsights 'Microsoft.Insights/components@2020-02-02' = {
  name: applicationInsightsName
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
    // The connection string then names a place and is no secret: only our identity can write there.
    DisableLocalAuth: true
  }
}

resource operators 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'ag-${resourceToken}'
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'WixOAuth'
    emailReceivers: [{ name: 'operators', emailAddress: alertEmail, useCommonAlertSchema: true }]
  }
}

var aDay = 1440

// What each of them means and what to do: docs/operations.md, under the same names. With outOf above 1 Azure wants a
// row for each period: the query summarizes by bin(TimeGenerated, <minutes>m).
var queueAlerts = [
  {
    name: 'shards-unseen'
    title: 'Shards have not been swept for three minutes'
    severity: 1
    // A metric arrives up to two minutes after it was measured.
    minutes: 5
    query: loadTextContent('../queries/shards-unseen.kql')
    operator: 'GreaterThan'
    threshold: 0
    outOf: 1
  }
  {
    name: 'poison-messages'
    title: 'Messages of the queue refresh-shards failed for good'
    severity: 2
    minutes: 15
    query: loadTextContent('../queries/poison-messages.kql')
    operator: 'GreaterThan'
    threshold: 0
    outOf: 1
  }
]
var usualAlerts = [
  {
    name: 'sweep-stopped'
    title: 'No sweep in the last 15 minutes: the host may be down, or its storage account away'
    severity: 1
    minutes: 15
    query: loadTextContent('../queries/sweep-stopped.kql')
    operator: 'LessThan'
    threshold: 1
    outOf: 1
  }
  {
    name: 'backup-overdue'
    title: 'A copy of the tokens failed, the last one is more than 26 hours old, or it has far fewer sites than the one before'
    severity: 1
    minutes: 60
    query: loadTextContent('../queries/backup-overdue.kql')
    operator: 'GreaterThanOrEqual'
    threshold: 1
    outOf: 1
  }
  {
    name: 'due-lag'
    title: 'Tokens are refreshed minutes after they were due'
    severity: 2
    minutes: 5
    query: loadTextContent('../queries/due-lag.kql')
    operator: 'GreaterThan'
    threshold: 120
    outOf: 2
  }
  {
    name: 'secret-suspect'
    title: 'Wix rejects most sites: the app secret is in doubt'
    severity: 0
    minutes: 5
    query: loadTextContent('../queries/secret-suspect.kql')
    operator: 'GreaterThanOrEqual'
    threshold: 1
    outOf: 1
  }
  {
    name: 'sites-on-fallback'
    title: 'Refresh tokens of sites are rejected or unreadable: client credentials serve them, where allowed'
    severity: 2
    minutes: 60
    query: loadTextContent('../queries/sites-on-fallback.kql')
    operator: 'GreaterThan'
    threshold: 4
    outOf: 1
  }
  {
    name: 'unreadable-tokens'
    title: 'No protection key opens the refresh tokens of some sites'
    severity: 1
    minutes: 60
    query: loadTextContent('../queries/unreadable-tokens.kql')
    operator: 'GreaterThan'
    threshold: 0
    outOf: 1
  }
  {
    name: 'wrong-protection-key'
    title: 'The protection keys are not those of the stored tokens: nothing is stored'
    severity: 0
    minutes: 15
    query: loadTextContent('../queries/wrong-protection-key.kql')
    operator: 'GreaterThan'
    threshold: 0
    outOf: 1
  }
  {
    name: 'wix-throttled'
    title: 'Wix has throttled or failed us for half an hour'
    severity: 2
    minutes: 15
    query: loadTextContent('../queries/wix-throttled.kql')
    operator: 'GreaterThan'
    threshold: 80
    outOf: 2
  }
  {
    name: 'events-parked'
    title: 'Events do not reach your receiver: their delivery was given up, or their secret cannot be read'
    severity: 2
    minutes: 60
    query: loadTextContent('../queries/events-parked.kql')
    operator: 'GreaterThan'
    threshold: 0
    outOf: 1
  }
  {
    name: 'events-failing'
    title: 'Your receiver takes no event'
    severity: 3
    minutes: 60
    query: loadTextContent('../queries/events-failing.kql')
    operator: 'GreaterThan'
    threshold: 0
    outOf: 1
  }
  {
    name: 'unreadable-row'
    title: 'The row of a site cannot be read'
    severity: 1
    minutes: 15
    query: loadTextContent('../queries/unreadable-row.kql')
    operator: 'GreaterThan'
    threshold: 0
    outOf: 1
  }
  {
    name: 'refresh-failures'
    title: 'More than a fifth of all refreshes fail'
    severity: 1
    minutes: 15
    query: loadTextContent('../queries/refresh-failures.kql')
    operator: 'GreaterThan'
    threshold: 20
    outOf: 1
  }
  {
    name: 'no-refresh-succeeds'
    title: 'Wix rejects sites and no refresh succeeds: the app secret may be wrong'
    severity: 1
    minutes: 60
    query: loadTextContent('../queries/no-refresh-succeeds.kql')
    operator: 'GreaterThan'
    threshold: 1
    outOf: 1
  }
  {
    name: 'reinstall-required'
    title: 'Sites have been lost that only their owners can bring back'
    severity: 2
    minutes: 60
    query: loadTextContent('../queries/reinstall-required.kql')
    operator: 'GreaterThan'
    threshold: 4
    outOf: 1
  }
  {
    name: 'server-errors'
    title: 'Requests are answered with 5xx'
    severity: 1
    minutes: 5
    query: loadTextContent('../queries/server-errors.kql')
    operator: 'GreaterThan'
    threshold: 5
    outOf: 2
  }
  {
    name: 'slow-webhooks'
    title: 'Webhooks take longer than a second: Wix gives up after 1.25 s'
    severity: 2
    minutes: 15
    query: loadTextContent('../queries/slow-webhooks.kql')
    operator: 'GreaterThan'
    threshold: 2
    outOf: 1
  }
  {
    name: 'webhooks-untrusted'
    title: 'No webhook of the last day was signed with a key that is set here'
    severity: 3
    minutes: aDay
    query: loadTextContent('../queries/webhooks-untrusted.kql')
    operator: 'GreaterThan'
    threshold: 0
    outOf: 1
  }
  {
    name: 'key-vault-denied'
    title: 'Key Vault denies access'
    severity: 1
    minutes: 5
    query: loadTextContent('../queries/key-vault-denied.kql')
    operator: 'GreaterThan'
    threshold: 0
    outOf: 1
  }
  {
    name: 'table-deleted'
    title: 'A table in the token storage account was deleted'
    severity: 0
    minutes: 5
    query: loadTextContent('../queries/table-deleted.kql')
    operator: 'GreaterThan'
    threshold: 0
    outOf: 1
  }
  {
    name: 'log-cap'
    title: 'Log Analytics takes no more telemetry today: other alerts are blind'
    severity: 1
    minutes: 15
    query: loadTextContent('../queries/log-cap.kql')
    operator: 'GreaterThan'
    threshold: 0
    outOf: 1
  }
]

var alerts = concat(usualAlerts, byQueue ? queueAlerts : [])

resource rules 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for alert in alerts: {
    name: 'alert-${alert.name}-${resourceToken}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: 'WixOAuth: ${alert.title}'
      description: 'What to do: docs/operations.md, "${alert.name}"'
      severity: alert.severity
      enabled: true
      scopes: [workspace.id]
      evaluationFrequency: alert.minutes == aDay ? 'PT1H' : alert.minutes == 60 ? 'PT15M' : 'PT5M'
      windowSize: alert.minutes == aDay ? 'P1D' : alert.minutes == 60 ? 'PT1H' : 'PT${alert.minutes}M'
      // To tell sites that were just lost from those that are only tried again, as they are once a day.
      overrideQueryTimeRange: alert.name == 'reinstall-required' ? 'P2D' : null
      // The tables appear with their first record, after this. Until then each query reads an empty datatable instead:
      // a query that fails does not fire, and Azure disables a rule that failed for a week.
      skipQueryValidation: true
      autoMitigate: true
      criteria: {
        allOf: [
          {
            query: alert.query
            timeAggregation: 'Maximum'
            metricMeasureColumn: 'Value'
            operator: alert.operator
            threshold: alert.threshold
            failingPeriods: {
              numberOfEvaluationPeriods: alert.outOf
              minFailingPeriodsToAlert: alert.outOf
            }
          }
        ]
      }
      actions: { actionGroups: [operators.id] }
    }
  }
]

// What deletes the tokens or their keys, seen by Azure itself: it needs no telemetry of the app.
resource deletion 'Microsoft.Insights/activityLogAlerts@2020-10-01' = {
  name: 'alert-deletion-${resourceToken}'
  location: 'global'
  tags: tags
  properties: {
    description: 'WixOAuth: a table, a storage account or the vault was deleted. What to do: docs/operations.md, "deletion"'
    enabled: true
    scopes: [resourceGroup().id]
    condition: {
      allOf: [
        { field: 'category', equals: 'Administrative' }
        { field: 'status', equals: 'Succeeded' }
        {
          anyOf: [
            { field: 'operationName', equals: 'Microsoft.Storage/storageAccounts/delete' }
            { field: 'operationName', equals: 'Microsoft.Storage/storageAccounts/tableServices/tables/delete' }
            { field: 'operationName', equals: 'Microsoft.KeyVault/vaults/delete' }
          ]
        }
      ]
    }
    actions: { actionGroups: [{ actionGroupId: operators.id }] }
  }
}

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(workspace.id, 'WixOAuth')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'WixOAuth'
    category: 'workbook'
    sourceId: workspace.id
    serializedData: loadTextContent('../workbook.json')
  }
}

output workspaceId string = workspace.id
output workspaceName string = workspace.name
output applicationInsightsConnectionString string = applicationInsights.properties.ConnectionString
