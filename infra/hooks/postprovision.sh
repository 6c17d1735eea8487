#!/bin/sh
# Creates the protection key, once. Stored tokens can only be read with it, so an existing key is never touched. It goes
# from one process to the next in a pipe: it is never printed, and never on a command line or in a file.
set -eu

name=token-protection-key

tell() {
  echo
  echo "For Wix's dashboard:"
  echo "  App URL       $APP_URL"
  echo "  Redirect URL  $REDIRECT_URL"
  echo "  Webhook URL   $WEBHOOK_URL"
  echo "The app secret, if you have not yet set it: see \"The app secret\" in docs/operations.md. The vault is $AZURE_KEY_VAULT_NAME."
}

refused() {
  echo "The vault $AZURE_KEY_VAULT_NAME cannot be asked for the protection key:" >&2
  echo "$1" >&2
  echo "Mend that and run 'azd hooks run postprovision'." >&2
  exit 1
}

# azd knows who is signed in (AZURE_PRINCIPAL_ID) but does not tell its hooks. A pipeline's service principal has no
# signed-in user, so it never touches the secrets.
signed_in() {
  az ad signed-in-user show --query id --output tsv 2>/dev/null || true
}

if [ -n "${VAULT_OFFICER_PRINCIPAL_ID:-}" ] && [ "$VAULT_OFFICER_PRINCIPAL_ID" != "$(signed_in)" ]; then
  echo "The secrets are left to $VAULT_OFFICER_PRINCIPAL_ID."
  tell
  exit 0
fi

# From outside the private network the vault answers 403, which would fire the alert key-vault-denied with every deployment.
case ${PRIVATE_NETWORK:-false}:${INSIDE_NETWORK:-} in
  [Tt][Rr][Uu][Ee]:)
    echo "Not checked: whether the protection key is there. The vault $AZURE_KEY_VAULT_NAME answers only inside the private network."
    echo "Check that ${APP_URL%/api/install}/api/health says \"secrets\":\"healthy\" once the app is deployed."
    echo "If it does not, or after a first deployment, run 'INSIDE_NETWORK=true azd hooks run postprovision' from inside the network: it makes a missing key."
    tell
    exit 0
    ;;
esac

# Without it the pipe below would carry an empty key, and its end would not notice.
command -v openssl >/dev/null || { echo "openssl is missing." >&2; exit 1; }

# A new role takes minutes to reach the vault, which answers 403 meanwhile: only SecretNotFound means that there is no key.
attempt=1
until answer=$(az keyvault secret show --vault-name "$AZURE_KEY_VAULT_NAME" --name "$name" --query id --output tsv 2>&1); do
  case $answer in
    *SecretNotFound*)
      openssl rand -base64 32 | tr -d '\n' \
        | az keyvault secret set --vault-name "$AZURE_KEY_VAULT_NAME" --name "$name" \
            --file /dev/stdin --encoding utf-8 --content-type 'base64 of 32 random bytes' --output none
      echo "Made the protection key."
      tell
      exit 0
      ;;
    *ForbiddenByRbac*) ;;
    *) refused "$answer" ;;
  esac

  if [ "$attempt" -ge "${ATTEMPTS:-30}" ]; then
    echo "After ${ATTEMPTS:-30} attempts the vault $AZURE_KEY_VAULT_NAME still denies access. Run 'azd hooks run postprovision' later." >&2
    exit 1
  fi

  attempt=$((attempt + 1))
  sleep "${SECONDS_BETWEEN:-10}"
done

echo "The protection key is there."
tell
