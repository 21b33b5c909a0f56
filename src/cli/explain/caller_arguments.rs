//! The arguments of `explain` that describe the caller.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};

use crate::authn::{IdentifyError, RequestCredentials};
use crate::cli::common::CommandError;
use crate::engine::{AssumedCaller, AssumedCallerWithNotes, Engine};
use crate::model::{Caller, CallerKind, Millis};

/// The arguments that describe the caller.
#[derive(Debug, clap::Args)]
pub(super) struct CallerArguments {
    /// The name of the caller, if the caller is a user.
    #[arg(long = "as", value_name = "USER", group = "who")]
    pub(super) user: Option<String>,
    /// The id of the caller, if the caller is a service.
    #[arg(long, value_name = "ID", group = "who")]
    pub(super) service: Option<String>,
    /// A token of the caller. `explain` checks it and takes the caller from it.
    #[arg(long, value_name = "JWT", group = "who", conflicts_with_all = ["roles", "authenticator", "server"])]
    pub(super) token: Option<String>,
    /// Roles that the token of the caller gives: moderator, or chat:*=moderator.
    #[arg(long, value_name = "ROLES", value_delimiter = ',')]
    pub(super) roles: Vec<String>,
    /// The authenticator that identifies the caller. Default: the first that can.
    #[arg(long, value_name = "NAME")]
    pub(super) authenticator: Option<String>,
}

impl CallerArguments {
    pub(super) fn caller(
        &self,
        engine: &Engine,
        app: &str,
        at: Millis,
    ) -> Result<AssumedCallerWithNotes, CommandError> {
        if let Some(token) = &self.token {
            let caller = identify_by_token(engine, token, app, at);
            return caller.map(|caller| (caller, Vec::new())).map_err(CommandError::Failed);
        }
        let (kind, subject) = match (&self.user, &self.service) {
            (_, Some(id)) => (CallerKind::Service, id),
            (Some(user), _) => (CallerKind::User, user),
            (None, None) => {
                return Err(CommandError::Usage("name the caller: --as USER, --service ID or --token JWT".to_owned()));
            }
        };
        let supposed =
            AssumedCaller { kind, subject, authenticator: self.authenticator.as_deref(), roles: &self.roles };
        supposed.build(engine, app).map_err(CommandError::Usage)
    }
}

/// Identifies the caller by a token in the same way as the server.
///
/// # Errors
/// Returns the reason if the token is refused, or if only the server can check it.
fn identify_by_token(engine: &Engine, token: &str, app: &str, now: Millis) -> Result<Caller, String> {
    const ALTERNATIVE: &str = "and only the server does that; name the caller instead: --as or --service, with --roles";
    let refused = |why: &str| format!("the caller is refused: {why}");
    let value = HeaderValue::from_str(&format!("Bearer {token}"));
    let value = value.map_err(|_| refused("the token holds more than ASCII"))?;
    let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
    let identified = engine.authenticators.identify(&RequestCredentials::from_headers(&headers), app, now);
    identified.map(Arc::unwrap_or_clone).map_err(|unidentified| match unidentified {
        IdentifyError::Error(refusal) => refused(&refusal.log_message()),
        IdentifyError::Pending(lookup) => format!("cannot identify the caller: {lookup}, {ALTERNATIVE}"),
    })
}
