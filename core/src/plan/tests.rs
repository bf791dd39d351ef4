//! Every rule with literal times: real certificates, and a Secret as the API server would keep it.

mod anything;
mod cas;
mod contest;
mod fallback;
mod held_back;
mod keeping;
mod limits;
mod outside;
mod precedence;
mod properties;
mod reasons;
mod replacement;
mod restored;
mod revoked;
mod rotation;
mod rules;
mod said;
mod said_blocked;
mod secret;
mod specs;
mod suggested;
mod time;
mod turns;
mod world;
