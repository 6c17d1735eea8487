# Creates the protection key, once. Stored tokens can only be read with it, so an existing key is never touched. It is
# never printed and never on a command line; Windows has no file that is a pipe, so a temporary file holds it for a moment.
$ErrorActionPreference = 'Stop'
$PSNativeCommandUseErrorActionPreference = $false

$name = 'token-protection-key'
$vault = $env:AZURE_KEY_VAULT_NAME

function Show-Urls {
    Write-Host ''
    Write-Host "For Wix's dashboard:"
    Write-Host "  App URL       $env:APP_URL"
    Write-Host "  Redirect URL  $env:REDIRECT_URL"
    Write-Host "  Webhook URL   $env:WEBHOOK_URL"
    Write-Host "The app secret, if you have not yet set it: see `"The app secret`" in docs/operations.md. The vault is $vault."
}

function New-ProtectionKey {
    $file = [IO.Path]::GetTempFileName()
    try {
        $key = [Convert]::ToBase64String([Security.Cryptography.RandomNumberGenerator]::GetBytes(32))
        [IO.File]::WriteAllText($file, $key)
        az keyvault secret set --vault-name $vault --name $name --file $file --encoding utf-8 --content-type 'base64 of 32 random bytes' --output none
        if ($LASTEXITCODE -ne 0) { throw 'The protection key could not be put into the vault.' }
    }
    finally {
        Remove-Item $file -Force
    }
}

# azd knows who is signed in (AZURE_PRINCIPAL_ID) but does not tell its hooks. A pipeline's service principal has no
# signed-in user, so it never touches the secrets.
function Get-SignedIn { az ad signed-in-user show --query id --output tsv 2>$null }

if ($env:VAULT_OFFICER_PRINCIPAL_ID -and $env:VAULT_OFFICER_PRINCIPAL_ID -ne (Get-SignedIn)) {
    Write-Host "The secrets are left to $env:VAULT_OFFICER_PRINCIPAL_ID."
    Show-Urls
    exit 0
}

# From outside the private network the vault answers 403, which would fire the alert key-vault-denied with every deployment.
if ($env:PRIVATE_NETWORK -eq 'true' -and -not $env:INSIDE_NETWORK) {
    Write-Host "Not checked: whether the protection key is there. The vault $vault answers only inside the private network."
    Write-Host "Check that $($env:APP_URL -replace '/api/install$', '')/api/health says `"secrets`":`"healthy`" once the app is deployed."
    Write-Host "If it does not, or after a first deployment, set INSIDE_NETWORK and run 'azd hooks run postprovision' from inside the network: it makes a missing key."
    Show-Urls
    exit 0
}

# A new role takes minutes to reach the vault, which answers 403 meanwhile: only SecretNotFound means that there is no key.
for ($attempt = 1; $attempt -le 30; $attempt++) {
    $answer = (az keyvault secret show --vault-name $vault --name $name --query id --output tsv 2>&1) -join "`n"
    if ($LASTEXITCODE -eq 0) {
        Write-Host 'The protection key is there.'
        Show-Urls
        exit 0
    }

    if ($answer -match 'SecretNotFound') {
        New-ProtectionKey
        Write-Host 'Made the protection key.'
        Show-Urls
        exit 0
    }

    if ($answer -notmatch 'ForbiddenByRbac') {
        Write-Error "The vault $vault cannot be asked for the protection key: $answer`nMend that and run 'azd hooks run postprovision'." -ErrorAction Continue
        exit 1
    }

    Start-Sleep -Seconds 10
}

Write-Error "After five minutes the vault $vault still denies access. Run 'azd hooks run postprovision' later." -ErrorAction Continue
exit 1
