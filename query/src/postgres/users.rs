//! Who may connect: a file with a name and a salted password a line, and SCRAM-SHA-256 (RFC 5802, RFC 7677).

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pgwire::api::auth::sasl::SASLAuthStartupHandler;
use pgwire::api::auth::sasl::scram::{ScramAuth, gen_salted_password};
use pgwire::api::auth::{AuthSource, DefaultServerParameterProvider, LoginInfo, Password};
use pgwire::error::{PgWireError, PgWireResult};
use uuid::Uuid;

use crate::postgres::Door;
use crate::postgres::tools::POSTGRES_VERSION;

/// How a line says how its password is kept.
const METHOD: &str = "SCRAM-SHA-256";

/// How often a password is hashed: what the RFC asks at least, and what Postgres does.
const ITERATIONS: usize = 4_096;

/// Bytes of a salt.
const SALT_BYTES: usize = 16;

/// Those who may connect.
#[derive(Debug, Default)]
pub struct Users {
    by_name: BTreeMap<String, Salted>,
    /// What the salts are made of that those who are not among them are told, so that nobody finds out who is.
    salt: Vec<u8>,
}

#[derive(Clone)]
struct Salted {
    salt: Vec<u8>,
    password: Vec<u8>,
}

impl std::fmt::Debug for Salted {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Salted(..)")
    }
}

impl Users {
    /// Those of a file: `NAME:SCRAM-SHA-256$4096:SALT$SALTED PASSWORD` a line, the last two in base 64, as `line` writes
    /// them. Empty lines and those that begin with `#` are passed over.
    ///
    /// # Errors
    /// The number of the first line that is none, and what it is to be.
    pub fn parse(text: &str) -> Result<Users, String> {
        let mut by_name = BTreeMap::new();
        let lines = text.lines().enumerate().map(|(place, line)| (place + 1, line.trim()));
        for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let (name, salted) = parse_line(line).ok_or_else(|| {
                format!("line {number} is not NAME:{METHOD}$...; have it written by `plimsoll password NAME`")
            })?;
            if by_name.insert(name.to_owned(), salted).is_some() {
                return Err(format!("line {number} has {name} again; keep one line of it"));
            }
        }
        Ok(Users { by_name, salt: Uuid::new_v4().into_bytes().to_vec() })
    }

    /// The line of a user with this password, for `parse`.
    ///
    /// # Errors
    /// When there is no name or no password, or the name has a colon or a line break.
    pub fn line(name: &str, password: &str) -> Result<String, String> {
        if name.is_empty() || name.trim() != name || name.starts_with('#') || name.contains([':', '\n', '\r']) {
            return Err(format!("{name:?} is no name of a user; take one without colons, breaks and blanks around it"));
        }
        if password.is_empty() {
            return Err("the password is empty; give one".to_owned());
        }
        let salt = Uuid::new_v4().into_bytes();
        let salted = gen_salted_password(password, &salt, ITERATIONS);
        Ok(format!("{name}:{METHOD}${ITERATIONS}:{}${}", STANDARD.encode(salt), STANDARD.encode(salted)))
    }
}

fn parse_line(line: &str) -> Option<(&str, Salted)> {
    let (name, kept) = line.split_once(':')?;
    let kept = kept.strip_prefix(METHOD)?.strip_prefix('$')?;
    let (iterations, kept) = kept.split_once(':')?;
    let (salt, password) = kept.split_once('$')?;
    let is_known = iterations.parse() == Ok(ITERATIONS) && !name.is_empty();
    let decode = |text: &str| STANDARD.decode(text).ok().filter(|bytes| !bytes.is_empty());
    is_known.then_some((name, Salted { salt: decode(salt)?, password: decode(password)? }))
}

/// What asks who connects.
pub(super) fn startup(door: &Door) -> SASLAuthStartupHandler<DefaultServerParameterProvider> {
    let mut scram = ScramAuth::new(door.users.clone());
    scram.set_iterations(ITERATIONS);
    let mut parameters = DefaultServerParameterProvider::default();
    parameters.server_version = POSTGRES_VERSION.to_owned();
    parameters.is_superuser = false;
    parameters.default_transaction_read_only = true;
    SASLAuthStartupHandler::new(Arc::new(parameters))
        .with_scram(scram)
        .with_connection_manager(door.connections.clone())
}

#[async_trait]
impl AuthSource for Users {
    async fn get_password(&self, login: &LoginInfo) -> PgWireResult<Password> {
        let Some(name) = login.user() else { return Err(PgWireError::UserNameRequired) };
        Ok(match self.by_name.get(name) {
            Some(Salted { salt, password }) => Password::new(Some(salt.clone()), password.clone()),
            // A password that nobody has, and a salt that is always the same for a name.
            None => {
                let salt = gen_salted_password(name, &self.salt, 1)[..SALT_BYTES].to_vec();
                Password::new(Some(salt), [Uuid::new_v4(), Uuid::new_v4()].map(Uuid::into_bytes).concat())
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_understood_and_another_is_told() {
        let line = Users::line("ana", "pencil").expect("a line");
        let users = Users::parse(&format!("# who\n\n{line}\n")).expect("users");
        let salted = &users.by_name["ana"];
        assert_eq!(salted.password, gen_salted_password("pencil", &salted.salt, ITERATIONS));
        assert!(!format!("{users:?}").contains(&STANDARD.encode(&salted.password)), "no secret in a log");
        assert!(!line.contains("pencil"));
        let again = Users::parse(&format!("{line}\n{line}")).expect_err("twice");
        assert!(again.starts_with("line 2 has ana again"), "{again}");
        for wrong in ["ana", "ana:pencil", "ana:SCRAM-SHA-256$1:AA==$AA==", "ana:SCRAM-SHA-256$4096:AA==$", ":x"] {
            let told = Users::parse(wrong).expect_err(wrong);
            assert!(told.starts_with("line 1 is not NAME:SCRAM-SHA-256$"), "{told}");
        }
        for name in ["", "a:b", " a", "#a", "a\nb"] {
            assert!(Users::line(name, "pencil").is_err(), "{name:?}");
        }
    }

    /// RFC 7677, section 3: user `user`, password `pencil`, salt and iterations as given there; SaltedPassword by
    /// Python's `hashlib.pbkdf2_hmac('sha256', b'pencil', base64.b64decode('W22ZaJ0SNY7soEsUEjb6gQ=='), 4096)`.
    #[test]
    fn a_password_is_salted_as_the_rfc_says() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("base 64");
        let salted = STANDARD.encode(gen_salted_password("pencil", &salt, ITERATIONS));
        assert_eq!(salted, "xKSVEDI6tPlSysH6mUQZOeeOp01r6B3fcJbodRPcYV0=");
    }
}
