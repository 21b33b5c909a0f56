#!/bin/sh
# Makes what is missing of the secrets, and the configuration that names them. What is there stays as it is.
# The two directories and the owners can be given, to run it elsewhere.
set -eu
umask 077

signer="${SIGNER:-/signer}"
grafana="${GRAFANA:-/grafana}"
template="${TEMPLATE:-/template/signer.toml}"

# Prints so many random bytes, in hexadecimal digits.
random() { head -c "$1" /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }

# Keeps standard input as file $1 of user $2, unless there is one. The name comes last, so that a file is there in whole or not at all.
keep() {
    cat > "$1.new"
    if [ -e "$1" ]; then rm -f "$1.new"; return; fi
    chmod 0400 "$1.new"
    if [ "$(id -u)" = 0 ]; then chown "$2:$2" "$1.new"; fi
    mv "$1.new" "$1"
}

random 32 | keep "$signer/leancloud-master-key" 65532
random 32 | keep "$signer/talkjs-secret-key" 65532
printf 'madeup.%s:%s' "$(random 3)" "$(random 32)" | keep "$signer/ably-key" 65532
random 24 | keep "$grafana/password" 472

# The backend's key, and in the configuration only its hash.
printf 'csk_%s' "$(random 32)" | keep "$signer/api-key" 65532
hash="$(sha256sum < "$signer/api-key" | cut -d ' ' -f 1)"
sed "s/@API_KEY_SHA256@/$hash/" "$template" | keep "$signer/signer.toml" 65532
