//! Who may ask, for what, and what of it they see.
//!
//! A file has one user a line, as an object of JSON: a password for the Postgres wire and Flight SQL, kept as
//! SCRAM-SHA-256 needs it (RFC 5802), or a token for HTTP and Flight SQL, kept as its SHA-256. A token is drawn, not
//! chosen, so nobody finds it by trying, and a plain hash of it is enough.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use governor::clock::{Clock, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use pgwire::api::auth::sasl::scram::gen_salted_password;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::visible::RowFilter;

/// How a password is kept.
const PASSWORD_METHOD: &str = "SCRAM-SHA-256";

/// How a token is kept.
const TOKEN_METHOD: &str = "SHA-256";

/// What a token begins with, so that people and scanners of secrets know one.
const TOKEN_PREFIX: &str = "plimsoll_";

/// How often a password is hashed: what the RFC asks at least, and what Postgres does.
pub(crate) const ITERATIONS: usize = 4_096;

/// Bytes of a salt.
const SALT_BYTES: usize = 16;

/// Requests a second that a user may make over HTTP, and calls over Flight SQL, and as many at once, where the file does not
/// say.
const REQUESTS_PER_SECOND: NonZeroU32 = NonZeroU32::MIN.saturating_add(999);

/// What a user may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The tables, through every door.
    Read,
    /// `/metrics`, which names all agreements.
    Metrics,
    /// `/v1/definitions`: what is in force, and changes of it.
    Definitions,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Scope; 3] = [Scope::Read, Scope::Metrics, Scope::Definitions];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Metrics => "metrics",
            Scope::Definitions => "definitions",
        }
    }
}

/// What a line says.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes: Option<BTreeSet<Scope>>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    customers: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    agreements: BTreeSet<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requests_per_second: Option<NonZeroU32>,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Line(..)")
    }
}

/// What a new user may do.
#[derive(Clone, Debug, Default)]
pub struct Grant {
    /// What for; only the tables when there is none.
    pub scopes: BTreeSet<Scope>,
    /// Customers of which it sees all agreements. Where there are neither these nor `agreements`, it sees everything.
    pub customers: BTreeSet<String>,
    /// Agreements that it sees.
    pub agreements: BTreeSet<String>,
}

/// A password as it is kept.
#[derive(Clone)]
pub(crate) struct Salted {
    pub(crate) salt: Vec<u8>,
    pub(crate) password: Vec<u8>,
}

impl std::fmt::Debug for Salted {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Salted(..)")
    }
}

type Limiter = RateLimiter<NotKeyed, InMemoryState, MonotonicClock, NoOpMiddleware<std::time::Instant>>;

/// One who may ask.
#[derive(Debug)]
pub(crate) struct User {
    line: Line,
    pub(crate) scopes: BTreeSet<Scope>,
    /// The rows that it sees; `None` sees all.
    pub(crate) rows: Option<Arc<RowFilter>>,
    password: Option<Salted>,
    token: Option<[u8; 32]>,
    limiter: Limiter,
}

impl User {
    /// Who it is.
    pub(crate) fn name(&self) -> &str {
        &self.line.name
    }

    /// Takes one of the requests that it may make.
    ///
    /// # Errors
    /// How many seconds, rounded up, until it may make the next.
    pub(crate) fn take_request(&self) -> Result<(), u64> {
        let wait = |not_until: governor::NotUntil<std::time::Instant>| {
            not_until.wait_time_from(MonotonicClock.now()).as_secs_f64().ceil().max(1.0) as u64
        };
        self.limiter.check().map_err(wait)
    }

    fn of(line: Line) -> Result<User, String> {
        let Line { password, token, scopes, customers, agreements, requests_per_second, .. } = line.clone();
        let password = password.map(|kept| salted(&kept).ok_or("password is not what `plimsoll password` writes"));
        let token = token.map(|kept| hashed(&kept).ok_or("token is not what `plimsoll token` writes"));
        let (password, token) = (password.transpose()?, token.transpose()?);
        if password.is_none() && token.is_none() {
            return Err("there is neither a password nor a token".to_owned());
        }
        let scopes = scopes.unwrap_or_else(|| BTreeSet::from([Scope::Read]));
        let rows = RowFilter { customers, agreements };
        let rows = (!rows.is_of_all()).then_some(rows);
        if let Some(scope) = scopes.iter().find(|scope| rows.is_some() && **scope != Scope::Read) {
            let scope = scope.as_str();
            return Err(format!(
                "scope {scope} shows all agreements; give it to a user without customers and agreements"
            ));
        }
        let quota = Quota::per_second(requests_per_second.unwrap_or(REQUESTS_PER_SECOND));
        let limiter = RateLimiter::direct_with_clock(quota, MonotonicClock);
        Ok(User { line, scopes, rows: rows.map(Arc::new), password, token, limiter })
    }
}

type ByName = BTreeMap<String, Arc<User>>;

/// Those who may ask; others may be put in their place at any time.
#[derive(Debug, Default)]
pub struct Users {
    by_name: RwLock<Arc<ByName>>,
    /// What the salts are made of that those who are not among them are told, so that nobody finds out who is.
    salt: Vec<u8>,
}

impl Users {
    /// Those of a file, one a line, as `with_password` and `with_token` write them. Empty lines and those that begin with
    /// `#` are passed over.
    ///
    /// # Errors
    /// The number of the first line that is none, and what is wrong with it.
    pub fn parse(text: &str) -> Result<Users, String> {
        let by_name = RwLock::new(Arc::new(parse(text)?));
        Ok(Users { by_name, salt: Uuid::new_v4().into_bytes().to_vec() })
    }

    /// Puts those of another file in their place. Of whom it says the same, the requests of this second still count.
    ///
    /// # Errors
    /// As `parse`; then those who may ask stay who they are.
    pub fn replace(&self, text: &str) -> Result<(), String> {
        let mut others = parse(text)?;
        let known = self.known();
        for (name, user) in &mut others {
            if let Some(known) = known.get(name).filter(|known| known.line == user.line) {
                *user = known.clone();
            }
        }
        *self.by_name.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(others);
        Ok(())
    }

    fn known(&self) -> Arc<ByName> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The line of a user with this password.
    ///
    /// # Errors
    /// When there is no name or no password, or what is granted cannot be.
    pub fn with_password(name: &str, password: &str, grant: Grant) -> Result<String, String> {
        if password.is_empty() {
            return Err("the password is empty; give one".to_owned());
        }
        let salt = Uuid::new_v4().into_bytes();
        let salted = gen_salted_password(password, &salt, ITERATIONS);
        let kept = format!("{PASSWORD_METHOD}${ITERATIONS}:{}${}", STANDARD.encode(salt), STANDARD.encode(salted));
        line(name, Some(kept), None, grant)
    }

    /// A new token, and the line of a user who has it.
    ///
    /// # Errors
    /// When there is no name, or what is granted cannot be.
    pub fn with_token(name: &str, grant: Grant) -> Result<(String, String), String> {
        let token = drawn_token();
        let kept = format!("{TOKEN_METHOD}${}", STANDARD.encode(Sha256::digest(&token)));
        Ok((token, line(name, None, Some(kept), grant)?))
    }

    /// Who has a token. All are compared, each in the same time.
    pub(crate) fn of_token(&self, token: &str) -> Option<Arc<User>> {
        let asked: [u8; 32] = Sha256::digest(token).into();
        let is_it = |user: &Arc<User>| user.token.is_some_and(|kept| bool::from(kept.ct_eq(&asked)));
        self.known().values().fold(None, |found, user| if is_it(user) { Some(user.clone()) } else { found })
    }

    /// Who has a name.
    pub(crate) fn of_name(&self, name: &str) -> Option<Arc<User>> {
        self.known().get(name).cloned()
    }

    /// Who has a name and this password; it takes as long whether anybody has the name or not.
    pub(crate) fn of_password(&self, name: &str, password: &str) -> Option<Arc<User>> {
        let user = self.reader(name);
        let kept = self.salted(name, user.as_deref());
        let asked = gen_salted_password(password, &kept.salt, ITERATIONS);
        user.filter(|_| bool::from(kept.password.ct_eq(&asked)))
    }

    /// What is known by now of one who logged in by a password; nothing, if that may ask no more, or has another password.
    pub(crate) fn still(&self, user: &User) -> Option<Arc<User>> {
        self.reader(user.name()).filter(|now| now.line.password == user.line.password)
    }

    /// The password of a name; of one that is nobody's, a password that nobody has, and a salt that is always the same.
    pub(crate) fn password_of(&self, name: &str) -> Salted {
        self.salted(name, self.reader(name).as_deref())
    }

    /// Who has a name, if that is one who may read.
    fn reader(&self, name: &str) -> Option<Arc<User>> {
        self.of_name(name).filter(|user| user.scopes.contains(&Scope::Read))
    }

    fn salted(&self, name: &str, user: Option<&User>) -> Salted {
        user.and_then(|user| user.password.clone()).unwrap_or_else(|| Salted {
            salt: gen_salted_password(name, &self.salt, 1)[..SALT_BYTES].to_vec(),
            password: [Uuid::new_v4(), Uuid::new_v4()].map(Uuid::into_bytes).concat(),
        })
    }
}

/// A new token, of 244 random bits.
pub(crate) fn drawn_token() -> String {
    let drawn = [Uuid::new_v4(), Uuid::new_v4()].map(Uuid::into_bytes).concat();
    format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(drawn))
}

/// The users of a file, by their names.
fn parse(text: &str) -> Result<ByName, String> {
    let mut by_name = BTreeMap::new();
    let lines = text.lines().enumerate().map(|(place, line)| (place + 1, line.trim()));
    for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        let line: Line = serde_json::from_str(line).map_err(|error| {
            // What is wrong may be near a secret, so it is told without the text.
            let wrong = error.to_string();
            let wrong = wrong.split(" at line ").next().unwrap_or_default();
            format!("line {number} is no user ({wrong}); have it written by `plimsoll password` or `plimsoll token`")
        })?;
        let name = line.name.clone();
        let user = User::of(line).map_err(|wrong| format!("line {number}, {name}: {wrong}"))?;
        if by_name.insert(name.clone(), Arc::new(user)).is_some() {
            return Err(format!("line {number} has {name} again; keep one line of it"));
        }
    }
    Ok(by_name)
}

fn line(name: &str, password: Option<String>, token: Option<String>, grant: Grant) -> Result<String, String> {
    if name.is_empty() || name.trim() != name || name.contains(char::is_control) {
        return Err(format!("{name:?} is no name of a user; take one without breaks, and without blanks around it"));
    }
    let Grant { scopes, customers, agreements } = grant;
    let scopes = (!scopes.is_empty()).then_some(scopes);
    let line =
        Line { name: name.to_owned(), password, token, scopes, customers, agreements, requests_per_second: None };
    let text = serde_json::to_string(&line).map_err(|error| error.to_string())?;
    User::of(line)?;
    Ok(text)
}

/// A password as a line has it: `SCRAM-SHA-256$4096:SALT$SALTED`, the last two in base 64.
fn salted(kept: &str) -> Option<Salted> {
    let kept = kept.strip_prefix(PASSWORD_METHOD)?.strip_prefix('$')?;
    let (iterations, kept) = kept.split_once(':')?;
    let (salt, password) = kept.split_once('$')?;
    let decode = |text: &str| STANDARD.decode(text).ok().filter(|bytes| !bytes.is_empty());
    let is_known = iterations.parse() == Ok(ITERATIONS);
    is_known.then_some(Salted { salt: decode(salt)?, password: decode(password)? })
}

/// The hash of a token as a line has it: `SHA-256$HASH`, in base 64.
fn hashed(kept: &str) -> Option<[u8; 32]> {
    let hash = kept.strip_prefix(TOKEN_METHOD)?.strip_prefix('$')?;
    STANDARD.decode(hash).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_understood_and_another_is_told() {
        let line = Users::with_password("ana", "pencil", Grant::default()).expect("a line");
        let users = Users::parse(&format!("# who\n\n{line}\n")).expect("users");
        let Salted { salt, password } = users.password_of("ana");
        assert_eq!(password, gen_salted_password("pencil", &salt, ITERATIONS));
        assert!(!format!("{users:?}").contains(&STANDARD.encode(&password)), "no secret in a log");
        assert!(!line.contains("pencil"));
        let again = Users::parse(&format!("{line}\n{line}")).expect_err("twice");
        assert!(again.starts_with("line 2 has ana again"), "{again}");
        let wrong = [
            ("ana", "line 1 is no user (expected value)"),
            (r#"{"name":"ana"}"#, "line 1, ana: there is neither a password nor a token"),
            (r#"{"name":"ana","pass":"secret"}"#, "line 1 is no user (unknown field `pass`"),
            (r#"{"name":"ana","password":"secret"}"#, "line 1, ana: password is not what `plimsoll password` writes"),
            (r#"{"name":"ana","password":"SCRAM-SHA-256$1:AA==$AA=="}"#, "line 1, ana: password is not"),
            (r#"{"name":"ana","password":"SCRAM-SHA-256$4096:AA==$"}"#, "line 1, ana: password is not"),
            (r#"{"name":"ana","token":"SHA-256$AA=="}"#, "line 1, ana: token is not what `plimsoll token` writes"),
            (r#"{"name":"ana","scopes":["all"]}"#, "line 1 is no user (unknown variant `all`"),
        ];
        for (wrong, told) in wrong {
            let error = Users::parse(wrong).expect_err(wrong);
            assert!(error.starts_with(told) && !error.contains("secret"), "{error}");
        }
        for name in ["", " a", "a\nb"] {
            assert!(Users::with_password(name, "pencil", Grant::default()).is_err(), "{name:?}");
        }
        assert!(Users::with_password("ana", "", Grant::default()).is_err());
    }

    #[test]
    fn a_token_is_known_by_its_hash_and_by_nothing_else() {
        let grant = |scopes: &[Scope], customers: &[&str]| Grant {
            scopes: scopes.iter().copied().collect(),
            customers: customers.iter().map(|customer| (*customer).to_owned()).collect(),
            ..Grant::default()
        };
        let (token, line) = Users::with_token("acme, portal", grant(&[], &["acme"])).expect("a token");
        let (other, metrics) = Users::with_token("prometheus", grant(&[Scope::Metrics], &[])).expect("a token");
        assert!(!line.contains(&token) && token != other);
        let users = Users::parse(&format!("{line}\n{metrics}")).expect("users");
        let user = users.of_token(&token).expect("the portal");
        assert_eq!(user.rows.as_ref().map(|rows| rows.customers.clone()), Some(BTreeSet::from(["acme".to_owned()])));
        assert_eq!(user.scopes, BTreeSet::from([Scope::Read]));
        assert_eq!(users.of_token(&other).expect("prometheus").scopes, BTreeSet::from([Scope::Metrics]));
        for wrong in ["", "plimsoll_", &token[..token.len() - 1], &token.to_lowercase(), &format!("{token} ")] {
            assert!(users.of_token(wrong).is_none(), "{wrong}");
        }
        // A user with a token alone has no password, not even an empty one.
        assert_ne!(users.password_of("prometheus").password, gen_salted_password("", &[], ITERATIONS));
        let refused = Users::with_token("acme", grant(&[Scope::Metrics], &["acme"])).expect_err("all agreements");
        assert!(refused.starts_with("scope metrics shows all agreements"), "{refused}");
    }

    #[test]
    fn others_may_ask_from_the_moment_on_at_which_they_are_told() {
        let (token, ana) = Users::with_token("ana", Grant::default()).expect("a token");
        let ana = ana.replace('}', r#","requests_per_second":1}"#);
        let (other, guest) = Users::with_token("guest", Grant::default()).expect("a token");
        let users = Users::parse(&ana).expect("users");
        let (is_ana, is_guest) = (|| users.of_token(&token).is_some(), || users.of_token(&other).is_some());
        assert_eq!(users.of_token(&token).expect("ana").take_request(), Ok(()));
        users.replace(&format!("{ana}\n{guest}")).expect("users");
        assert!(is_ana() && is_guest());
        assert_eq!(users.of_token(&token).expect("ana").take_request(), Err(1), "a new file is no new second");
        users.replace(&format!("{guest}\nana")).expect_err("line 2");
        assert!(is_ana() && is_guest(), "a file with a problem changes nothing");
        users.replace(&guest).expect("users");
        assert!(!is_ana() && is_guest());
    }

    #[test]
    fn a_user_who_asks_too_often_is_told_when_to_ask_again() {
        let (token, line) = Users::with_token("ana", Grant::default()).expect("a token");
        let line = line.replace('}', r#","requests_per_second":3}"#);
        let users = Users::parse(&line).expect("users");
        let user = users.of_token(&token).expect("ana");
        assert_eq!([(); 3].map(|()| user.take_request()), [Ok(()); 3]);
        assert_eq!(user.take_request(), Err(1));
    }

    /// RFC 7677, section 3: user `user`, password `pencil`, salt and iterations as given there; SaltedPassword by
    /// Python's `hashlib.pbkdf2_hmac('sha256', b'pencil', base64.b64decode('W22ZaJ0SNY7soEsUEjb6gQ=='), 4096)`.
    #[test]
    fn a_password_is_salted_as_the_rfc_says() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("base 64");
        let salted = STANDARD.encode(gen_salted_password("pencil", &salt, ITERATIONS));
        assert_eq!(salted, "xKSVEDI6tPlSysH6mUQZOeeOp01r6B3fcJbodRPcYV0=");
    }

    /// FIPS 180-2, appendix B.1: the hash of `abc`.
    #[test]
    fn a_token_is_hashed_as_the_standard_says() {
        let hash: Vec<u8> = Sha256::digest("abc").to_vec();
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
