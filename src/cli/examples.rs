//! The examples in the help of the commands. A test parses each of them.

pub(super) const INIT: &str = "\
Examples:
  chat-signer init leancloud
  chat-signer init talkjs ably --dir chat";

pub(super) const SERVE: &str = "\
Examples:
  chat-signer serve
  chat-signer serve --config /etc/chat-signer/signer.toml --log-format json";

pub(super) const CHECK: &str = "\
Examples:
  chat-signer check
  chat-signer check --config /etc/chat-signer/signer.toml --output json";

pub(super) const SIGN: &str = "\
Examples:
  chat-signer sign leancloud login --client-id tom
  chat-signer sign leancloud invite --client-id tom --conv-id room-1 --members bob,carol";

pub(super) const VERIFY: &str = "\
Examples:
  chat-signer verify leancloud login --client-id tom --timestamp 1797552000 --nonce n1 --signature 8a
  chat-signer verify talkjs token --signature eyJhbGciOiJIUzI1NiJ9.e30.c2ln";

pub(super) const EXPLAIN: &str = "\
Examples:
  chat-signer explain leancloud kick --as tom --conv-id 5f3c2a1b9e8d7c6b5a493827 --members bob
  chat-signer explain ably login --as tom --roles 'chat:*=member'";

pub(super) const TOKEN: &str = "\
Examples:
  chat-signer token --sub tom
  chat-signer token --sub alice --roles owner --ttl 10m";

pub(super) const HASH_KEY: &str = "\
Examples:
  chat-signer hash-key --id orders
  chat-signer hash-key --id orders --stdin";

pub(super) const PROBE: &str = "\
Examples:
  chat-signer probe
  chat-signer probe --admin https://10.0.0.7:7481 --ca ca.pem";

pub(super) const AUDIT: &str = "\
Examples:
  chat-signer audit show audit.log --decision deny --since 1h
  chat-signer audit verify audit.log audit.log.1";

pub(super) const AUDIT_SHOW: &str = "\
Examples:
  chat-signer audit show audit.log --user tom --decision deny,refused
  chat-signer audit show audit.log.2.gz audit.log.1 audit.log --since 1d --summary
  chat-signer audit show audit.log --follow --output json
  journalctl -u chat-signer -o cat | chat-signer audit show -";

pub(super) const AUDIT_VERIFY: &str = "\
Examples:
  chat-signer audit verify audit.log audit.log.1
  chat-signer audit verify audit.log --heads";

pub(super) const STORE: &str = "\
Examples:
  chat-signer store export moderation.toml
  chat-signer store import moderation.toml --quiet
  chat-signer store accept";

pub(super) const BAN: &str = "\
Examples:
  chat-signer ban tom --for 7d --reason spam
  chat-signer ban tom bob --conversation 5f3c2a1b9e8d7c6b5a493827 --as alice";

pub(super) const UNBAN: &str = "\
Examples:
  chat-signer unban tom
  chat-signer unban tom --conversation 5f3c2a1b9e8d7c6b5a493827";

pub(super) const MUTE: &str = "\
Examples:
  chat-signer mute tom --for 30m --conversation 'chat:*'";

pub(super) const UNMUTE: &str = "\
Examples:
  chat-signer unmute tom --conversation 'chat:*'";

pub(super) const SET_ROLE: &str = "\
Examples:
  chat-signer set-role bob --role moderator --conversation 'chat:*'";

pub(super) const REMOVE_ROLE: &str = "\
Examples:
  chat-signer remove-role bob --role moderator --conversation 'chat:*'";

pub(super) const BLOCK_CONVERSATION: &str = "\
Examples:
  chat-signer block-conversation 5f3c2a1b9e8d7c6b5a493827 --as bob";

pub(super) const UNBLOCK_CONVERSATION: &str = "\
Examples:
  chat-signer unblock-conversation 5f3c2a1b9e8d7c6b5a493827 --as bob";

pub(super) const MANAGE_CONVERSATION: &str = "\
Examples:
  chat-signer manage-conversation 5f3c2a1b9e8d7c6b5a493827 --kind group --owner alice
  chat-signer manage-conversation 5f3c2a1b9e8d7c6b5a493827 --forget";

pub(super) const LIST: &str = "\
Examples:
  chat-signer list bans --user tom
  chat-signer list conversation 5f3c2a1b9e8d7c6b5a493827
  chat-signer list enforcements --state dead-letter";

pub(super) const RETRY: &str = "\
Examples:
  chat-signer retry --app talkjs --cause refused --yes
  chat-signer retry ZW5mb3JjZTp0YWxranM6ZXZlOio";

pub(super) const CLOSE: &str = "\
Examples:
  chat-signer close --webhook hooks.example.com --cause gone --reason 'the receiver is gone' --yes";

pub(super) const ENFORCE: &str = "\
Examples:
  chat-signer enforce --app talkjs";

pub(super) const EVENTS: &str = "\
Examples:
  chat-signer events
  chat-signer events --limit 10 --output json";

pub(super) const COMPLETIONS: &str = "\
Examples:
  chat-signer completions bash > /etc/bash_completion.d/chat-signer
  chat-signer completions fish > ~/.config/fish/completions/chat-signer.fish";

pub(super) const MAN: &str = "\
Examples:
  chat-signer man /usr/local/share/man/man1";
