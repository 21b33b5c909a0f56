//! The table of routes. Dispatch, the labels of metrics, the allowed methods and the tests of the documentation read it.
//!
//! The routes of apps, `/v1/{app}/{operation}`, and the routes for clients of other servers come from the description of
//! each vendor: [`VendorSpec::operations`](crate::vendor::VendorSpec) and its `compat`.

use crate::server::state::ProbeKind;

/// A route with a fixed path, and what answers it.
#[derive(Debug)]
pub struct Route {
    /// The path. A name in braces stands for one segment.
    pub path: &'static str,
    /// The methods, as in the header `Allow`.
    pub methods: &'static str,
    /// What answers the route.
    pub target: RouteTarget,
}

/// What answers a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteTarget {
    /// A probe, on both listeners.
    Probe(ProbeKind),
    /// The metrics, on the admin listener.
    Metrics,
    /// The description of the interface.
    OpenApi,
    /// Moderation.
    Moderation,
    /// Decisions without a signature.
    Decide,
    /// The page for moderators, if it is enabled.
    Console,
    /// The playground, if it is served.
    Playground(PlaygroundRoute),
}

/// A route of the playground.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaygroundRoute {
    /// The root of the server, which leads to the page.
    Home,
    /// The page, or one of its files.
    Asset,
    /// The names in the configuration.
    Names,
    /// A token for the selected caller.
    Token,
    /// The explanation of a decision.
    Explanation,
}

/// The path of the page for moderators, and the prefix of its other paths.
pub const CONSOLE: &str = "/console";

/// The path of the page of the playground, and the prefix of its other paths.
pub const PLAYGROUND: &str = "/playground";

const READ: &str = "GET, HEAD";

/// The routes. If several match a path, the first one counts.
pub const ROUTES: &[Route] = &[
    Route { path: "/livez", methods: READ, target: RouteTarget::Probe(ProbeKind::Live) },
    Route { path: "/readyz", methods: READ, target: RouteTarget::Probe(ProbeKind::Ready) },
    Route { path: "/startupz", methods: READ, target: RouteTarget::Probe(ProbeKind::Startup) },
    Route { path: "/metrics", methods: READ, target: RouteTarget::Metrics },
    Route { path: "/v1/openapi.json", methods: READ, target: RouteTarget::OpenApi },
    moderation("/v1/moderation/bans", "GET, POST"),
    moderation("/v1/moderation/bans/lift", "POST"),
    moderation("/v1/moderation/mutes", "GET, POST"),
    moderation("/v1/moderation/mutes/lift", "POST"),
    moderation("/v1/moderation/roles", "GET, POST"),
    moderation("/v1/moderation/roles/remove", "POST"),
    moderation("/v1/moderation/blocks", "GET, POST"),
    moderation("/v1/moderation/blocks/lift", "POST"),
    moderation("/v1/moderation/conversations/{id}", "GET, PUT, DELETE"),
    moderation("/v1/moderation/events", "GET"),
    moderation("/v1/moderation/enforcements", "GET"),
    moderation("/v1/moderation/enforcements/groups", "GET"),
    moderation("/v1/moderation/enforcements/retry", "POST"),
    moderation("/v1/moderation/enforcements/close", "POST"),
    moderation("/v1/moderation/enforcements/repeat", "POST"),
    moderation("/v1/moderation/explain", "GET"),
    moderation("/v1/moderation/abilities", "GET"),
    moderation("/v1/moderation/preview", "POST"),
    moderation("/v1/moderation/users", "GET"),
    moderation("/v1/moderation/users/{id}", "GET"),
    moderation("/v1/moderation/changes", "GET"),
    moderation("/v1/moderation/changes/{id}", "GET"),
    moderation("/v1/moderation/conversations", "GET"),
    moderation("/v1/moderation/conversations/{id}/people", "GET"),
    moderation("/v1/moderation/endings", "GET"),
    Route { path: "/v1/decide", methods: "POST", target: RouteTarget::Decide },
    console(CONSOLE),
    console("/console/config"),
    console("/console/{assets}/{file}"),
    playground("/", READ, PlaygroundRoute::Home),
    playground("/playground/world", READ, PlaygroundRoute::Names),
    playground("/playground/token", "POST", PlaygroundRoute::Token),
    playground("/playground/explain/{app}/{operation}", "POST", PlaygroundRoute::Explanation),
    playground(PLAYGROUND, READ, PlaygroundRoute::Asset),
    playground("/playground/{file}", READ, PlaygroundRoute::Asset),
];

const fn moderation(path: &'static str, methods: &'static str) -> Route {
    Route { path, methods, target: RouteTarget::Moderation }
}

const fn console(path: &'static str) -> Route {
    Route { path, methods: READ, target: RouteTarget::Console }
}

const fn playground(path: &'static str, methods: &'static str, route: PlaygroundRoute) -> Route {
    Route { path, methods, target: RouteTarget::Playground(route) }
}

/// Returns the route of a path.
pub fn find(path: &str) -> Option<&'static Route> {
    ROUTES.iter().find(|route| route.matches(path))
}

impl Route {
    fn matches(&self, path: &str) -> bool {
        let mut segments = path.split('/');
        let is_same = |own: &str, segment: &str| own == segment || own.starts_with('{') && !segment.is_empty();
        self.path.split('/').all(|own| segments.next().is_some_and(|segment| is_same(own, segment)))
            && segments.next().is_none()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::moderation::api::ModerationResource;

    fn path_of(path: &str) -> Option<&'static str> {
        find(path).map(|route| route.path)
    }

    #[test]
    fn a_placeholder_stands_for_one_segment() {
        assert_eq!(path_of("/v1/moderation/conversations/a%2Fb"), Some("/v1/moderation/conversations/{id}"));
        for path in ["/v1/moderation/conversations/", "/v1/moderation/conversations/a/b", "/v1/moderation/bans/", ""] {
            assert_eq!(path_of(path), None, "{path}");
        }
    }

    #[test]
    fn moderation_has_the_routes_of_its_interface() {
        for route in ROUTES.iter().filter(|route| route.target == RouteTarget::Moderation) {
            let resource = ModerationResource::from_path(route.path).unwrap();
            assert_eq!((resource.path_template(), resource.methods()), (route.path, route.methods));
        }
    }

    #[test]
    fn each_path_finds_its_own_route() {
        for route in ROUTES {
            assert_eq!(path_of(route.path), Some(route.path));
        }
        assert_eq!(path_of("/playground/style.css"), Some("/playground/{file}"));
    }
}
