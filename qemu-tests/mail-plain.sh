# The lab's mail server has no certificate that this machine could trust: it is spoken to in the clear, on this copy only.
set -e
# Without a password nothing goes to a relay that wants one.
if [ ! -e /etc/nullmailer/secret ]; then
    install -m 0600 /dev/stdin /etc/nullmailer/secret <<<lab
    systemctl restart nullmailer.service
fi
# By the recipe's port: others may be shut to what goes out. The lab's server speaks in the clear at each.
port=$(sed -n 's/^[^ ]* smtp --port=\([0-9]*\).*/\1/p' /etc/nullmailer/remotes)
echo "$RELAY smtp --port=$port" >/run/remotes.lab
chown mail:mail /run/remotes.lab
ln -sf /run/remotes.lab /etc/nullmailer/remotes
echo 5 >/etc/nullmailer/pausetime
systemctl restart nullmailer.service
