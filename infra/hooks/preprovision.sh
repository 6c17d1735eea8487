#!/bin/sh
# The private network's subnet is delegated to Microsoft.App, and nothing in the template makes Azure register that
# resource provider: without it the app cannot join the subnet.
set -eu

case ${PRIVATE_NETWORK:-false} in [Ff][Aa][Ll][Ss][Ee]) exit 0 ;; esac
command -v az >/dev/null || { echo "PRIVATE_NETWORK needs the Azure CLI, signed in to the subscription." >&2; exit 1; }
az provider register --namespace Microsoft.App --subscription "$AZURE_SUBSCRIPTION_ID" --wait
