//! Who calls: by a token of the file of users, or by one that a login with a name and a password was given.
//!
//! A login is the call `Handshake` with `authorization: Basic`, as the drivers make it for a name and a password. What
//! such a token opens is asked of the users at each call, so whoever is taken out of the file may ask no more.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant as Moment, sleep};
use tonic::Status;

use crate::flight::internal;
use crate::flight::kept::{Bounds, Kept};
use crate::session::QueryService;
use crate::users::{Scope, User, Users, drawn_token};

/// Tokens that were given to logins. A driver logs in once a connection, and a pool has tens of them.
const LOGINS: Bounds =
    Bounds { of_one_max: 200, in_all_max: 5_000, idle_max: Duration::from_hours(1), age_max: Duration::from_hours(24) };

/// How long one that is not let in waits for the answer.
const REFUSAL_DELAY: Duration = Duration::from_secs(1);

/// What who needs no token is given, because drivers want one.
const NO_TOKEN: &str = "nobody";

/// Those who may call.
pub(super) struct Entrance {
    users: Option<Arc<Users>>,
    /// By the hash of their token, so that how long it takes to look for one tells nothing of those that there are.
    logins: Kept<[u8; 32], Arc<User>>,
    /// Passwords are hashed one after the other: whoever guesses has one processor for it, and nothing else.
    hashing: Semaphore,
}

/// Lets one login after the other be tried on a connection.
pub(super) type Turn = Mutex<()>;

/// Who calls; nobody in particular where there are no users.
#[derive(Clone)]
pub(super) struct Asker {
    user: Option<Arc<User>>,
    /// The token for further calls, of one that has just logged in.
    pub(super) given: Option<String>,
}

impl Asker {
    /// The service as they see it.
    pub(super) fn sees(&self, service: &QueryService) -> QueryService {
        service.seen_by(self.user.as_ref().and_then(|user| user.rows.clone()))
    }

    /// The name under which something is kept for them.
    pub(super) fn name(&self) -> &str {
        self.user.as_ref().map_or("", |user| user.name())
    }
}

/// What a call says of who makes it.
enum Said {
    Nothing,
    Token(String),
    Password(String, String),
}

impl Entrance {
    /// Nobody has logged in.
    pub(super) fn new(users: Option<Arc<Users>>) -> Entrance {
        Entrance { users, logins: Kept::new(LOGINS), hashing: Semaphore::new(1) }
    }

    /// Who makes a call, by its headers.
    ///
    /// # Errors
    /// `Unauthenticated` when nobody has this token or password, `PermissionDenied` when the token is not for reading,
    /// `ResourceExhausted` when there are too many calls with it.
    pub(super) async fn admit(&self, headers: &HeaderMap, is_login: bool, turn: &Turn) -> Result<Asker, Status> {
        let Some(users) = &self.users else { return Ok(Asker { user: None, given: Some(NO_TOKEN.to_owned()) }) };
        let said = said(headers);
        let (user, given) = match said {
            Said::Token(token) => (self.of_token(users, &token)?, token),
            Said::Password(name, password) if is_login => self.log_in(users, name, password, turn).await?,
            Said::Password(..) | Said::Nothing => {
                let told = "log in with a name and a password, or send a token: authorization: Bearer plimsoll_...";
                return Err(Status::unauthenticated(told));
            }
        };
        user.take_request().map_err(|seconds| {
            Status::resource_exhausted(format!("too many calls with this token; ask again after {seconds} s"))
        })?;
        Ok(Asker { user: Some(user), given: Some(given) })
    }

    /// Who has a token.
    fn of_token(&self, users: &Users, token: &str) -> Result<Arc<User>, Status> {
        let logged_in = || users.still(self.logins.get(&hash(token), None, Moment::now())?.as_ref());
        let user = users.of_token(token).or_else(logged_in);
        let user = user.ok_or_else(|| Status::unauthenticated("nobody has this token, or no longer; log in again"))?;
        match user.scopes.contains(&Scope::Read) {
            true => Ok(user),
            false => Err(Status::permission_denied("this token has no scope read")),
        }
    }

    /// Lets somebody in who has a name and a password, with a token for further calls.
    async fn log_in(
        &self,
        users: &Arc<Users>,
        name: String,
        password: String,
        turn: &Turn,
    ) -> Result<(Arc<User>, String), Status> {
        let _turn = turn.lock().await;
        let found = {
            let _permit = self.hashing.acquire().await.map_err(|error| internal(&error))?;
            let users = users.clone();
            let find = move || users.of_password(&name, &password);
            tokio::task::spawn_blocking(find).await.map_err(|error| internal(&error))?
        };
        let Some(user) = found else {
            // Whoever guesses a password has to wait.
            sleep(REFUSAL_DELAY).await;
            return Err(Status::unauthenticated("nobody has this name and this password"));
        };
        let token = drawn_token();
        self.logins.put(hash(&token), user.name(), user.clone(), Moment::now());
        Ok((user, token))
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

fn said(headers: &HeaderMap) -> Said {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match value.and_then(|value| value.split_once(' ')) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Said::Token(token.trim().to_owned()),
        Some((scheme, basic)) if scheme.eq_ignore_ascii_case("basic") => password(basic.trim()),
        _ => Said::Nothing,
    }
}

/// A name and a password in base 64 (RFC 7617).
fn password(basic: &str) -> Said {
    let decoded = STANDARD.decode(basic).or_else(|_| STANDARD_NO_PAD.decode(basic));
    let text = decoded.ok().and_then(|bytes| String::from_utf8(bytes).ok());
    match text.as_deref().and_then(|text| text.split_once(':')) {
        Some((name, password)) => Said::Password(name.to_owned(), password.to_owned()),
        None => Said::Nothing,
    }
}
