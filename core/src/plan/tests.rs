//! Every rule with literal times: real certificates, and a Secret as the API server would keep it.

mod cas;
mod contest;
mod limits;
mod precedence;
mod properties;
mod replacement;
mod rules;
mod said;
mod secret;
mod specs;
mod time;
mod world;
