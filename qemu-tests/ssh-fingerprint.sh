# The fingerprint of the key that the server at TO and PORT shows, as a pattern: `+` is the only character of it that says
# something else in one.
set -u
key=$(ssh-keyscan -T 30 -t ed25519 -p "$PORT" "$TO" 2>/dev/null)
read -r _ print _ < <(ssh-keygen -l -f - <<<"$key")
[[ ${print:-} == SHA256:* ]] || { echo "the server shows no key: $key" >&2; exit 1; }
echo "${print//+/[+]}"
