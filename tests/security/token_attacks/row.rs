//! A row of the table: a change to an honest token, and what comes of it.

use crate::token_attacks::draft::{Draft, Twist};
use crate::token_attacks::issuer::Issuer;
use crate::token_attacks::world::World;

/// An attack, or something that only looks like one.
pub(crate) struct Row {
    pub(crate) name: String,
    by: Vec<Issuer>,
    /// What is special about the honest token, too.
    ground: Option<Twist>,
    twist: Twist,
    outcome: Outcome,
}

enum Outcome {
    /// A 401 that says this.
    Refused(&'static str),
    /// Nothing: the caller is who the issuer says.
    Served,
}

/// The tokens of these issuers are refused so.
pub(crate) fn refused(name: impl Into<String>, by: &[Issuer], says: &'static str, twist: Twist) -> Row {
    Row { name: name.into(), by: by.to_vec(), ground: None, twist, outcome: Outcome::Refused(says) }
}

/// The change makes no difference.
pub(crate) fn served(name: impl Into<String>, by: &[Issuer], twist: Twist) -> Row {
    Row { outcome: Outcome::Served, ..refused(name, by, "", twist) }
}

impl Row {
    /// The honest token has this about it, too.
    pub(crate) fn beside(self, ground: Twist) -> Row {
        Row { ground: Some(ground), ..self }
    }

    pub(crate) fn check(&self, world: &mut World) {
        for issuer in &self.by {
            let name = format!("{} ({issuer:?})", self.name);
            let honest = self.draft(*issuer).request();
            let attack = (self.twist)(self.draft(*issuer)).request();
            let mut connection = world.connect();
            let subject = Some(issuer.subject().to_owned());
            assert_eq!(world.served(&mut connection, &honest), subject, "{name}: the honest token, before");
            // What was refused once is not let in by the memory of it.
            for _ in 0..2 {
                match self.outcome {
                    Outcome::Refused(says) => world.refused(&mut connection, &attack, says, &name),
                    Outcome::Served => assert_eq!(world.served(&mut connection, &attack), subject, "{name}"),
                }
            }
            assert_eq!(world.served(&mut connection, &honest), subject, "{name}: the next honest request");
            let mut another = world.connect();
            assert_eq!(world.served(&mut another, &honest), subject, "{name}: on the next connection");
        }
    }

    fn draft(&self, issuer: Issuer) -> Draft {
        let draft = issuer.draft();
        match &self.ground {
            Some(ground) => ground(draft),
            None => draft,
        }
    }
}
