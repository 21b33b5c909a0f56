//! The arguments of `explain` that describe the caller.

use crate::cli::caller::identify_by_token;
use crate::cli::common::CommandError;
use crate::engine::{AssumedCaller, AssumedCallerWithNotes, Engine};
use crate::model::{CallerKind, Millis};

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
