# The private network's subnet is delegated to Microsoft.App, and nothing in the template makes Azure register that
# resource provider: without it the app cannot join the subnet.
$ErrorActionPreference = 'Stop'

if (-not $env:PRIVATE_NETWORK -or $env:PRIVATE_NETWORK -eq 'false') { exit 0 }
az provider register --namespace Microsoft.App --subscription $env:AZURE_SUBSCRIPTION_ID --wait
if ($LASTEXITCODE -ne 0) { throw 'The resource provider Microsoft.App could not be registered.' }
