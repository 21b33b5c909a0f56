#!/bin/sh
# Creates the missing secrets, and the configuration that names them. Existing files stay unchanged.
# The variables SIGNER, GRAFANA and TEMPLATE name other paths, so that you can run the script outside the stack.
set -eu
umask 077

signer="${SIGNER:-/signer}"
grafana="${GRAFANA:-/grafana}"
template="${TEMPLATE:-/template/signer.toml}"

# Prints $1 random bytes as hexadecimal digits.
random() { head -c "$1" /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }

# Writes standard input to the file $1 of the user $2, unless the file exists. The file is renamed at the end, so it is never incomplete.
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

# The key of the backend. The configuration contains only its hash.
printf 'csk_%s' "$(random 32)" | keep "$signer/api-key" 65532
hash="$(sha256sum < "$signer/api-key" | cut -d ' ' -f 1)"
sed "s/@API_KEY_SHA256@/$hash/" "$template" | keep "$signer/signer.toml" 65532
