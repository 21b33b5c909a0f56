//! The list of the chat vendors.

/// Calls a macro with the list of vendors. Each line has the variant of [`Vendor`] and the folder in `vendor/`, which is
/// also the name in the configuration.
macro_rules! for_each_vendor {
    ($callback:ident) => {
        $callback! {
            /// LeanCloud's LeanMessage, and TapTap's service with the same protocol.
            LeanCloud => leancloud,
            /// TalkJS.
            TalkJs => talkjs,
            /// Ably Pub/Sub and Ably Chat.
            Ably => ably,
            /// Stream Chat, Video and Feeds.
            Stream => stream,
            /// Centrifugo.
            Centrifugo => centrifugo,
            /// LiveKit.
            LiveKit => livekit,
            /// Pusher Channels and compatible servers.
            Pusher => pusher,
            /// Tencent Cloud Chat and TRTC.
            Tencent => tencent,
            /// Agora Chat, Signaling and RTC.
            Agora => agora,
            /// Any system that reads JSON Web Tokens.
            Jwt => jwt,
        }
    };
}

macro_rules! define_vendor {
    ($($(#[$doc:meta])* $vendor:ident => $folder:ident,)*) => {
        /// A chat vendor.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Vendor { $($(#[$doc])* $vendor,)* }

        impl Vendor {
            /// Every vendor.
            pub const ALL: &'static [Vendor] = &[$(Vendor::$vendor,)*];

            /// Returns the name in the configuration.
            pub fn as_str(self) -> &'static str {
                match self { $(Vendor::$vendor => stringify!($folder),)* }
            }
        }
    };
}

for_each_vendor!(define_vendor);
pub(crate) use for_each_vendor;

impl Vendor {
    /// Returns the vendor with this name in the configuration.
    pub fn parse(word: &str) -> Option<Vendor> {
        Vendor::ALL.iter().copied().find(|vendor| vendor.as_str() == word)
    }

    /// Returns the names of all vendors for a message, such as "a, b or c". Each name is formatted with `quote`.
    pub fn alternatives(quote: impl Fn(&str) -> String) -> String {
        let names: Vec<_> = Vendor::ALL.iter().map(|vendor| quote(vendor.as_str())).collect();
        match names.as_slice() {
            [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
            names => names.concat(),
        }
    }
}
