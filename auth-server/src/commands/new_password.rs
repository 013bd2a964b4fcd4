//! A password that the operator chooses, which is never an argument: others could read it there.

use std::io::{self, BufRead as _, IsTerminal as _};

use auth_core::Password;
use zeroize::Zeroizing;

use crate::error::CommandError;

/// Reads the password from the variable, or from standard input; on a terminal asks for it twice
/// without showing it.
pub(super) fn read(noinput: bool, variable: &'static str) -> Result<Password, CommandError> {
    if noinput {
        let password = std::env::var(variable).map(Password::new);
        return password.map_err(|_| CommandError::Argument {
            name: variable,
            problem: "must be set with --noinput".to_owned(),
        });
    }
    if io::stdin().is_terminal() {
        ask()
    } else {
        first_line()
    }
}

fn ask() -> Result<Password, CommandError> {
    let ask = |prompt| rpassword::prompt_password(prompt).map(Password::new);
    let password = ask("Password: ").map_err(CommandError::Terminal)?;
    let again = ask("Password, again: ").map_err(CommandError::Terminal)?;
    if bool::from(subtle::ConstantTimeEq::ct_eq(
        password.expose().as_bytes(),
        again.expose().as_bytes(),
    )) {
        Ok(password)
    } else {
        Err(CommandError::Password("the two passwords differ"))
    }
}

fn first_line() -> Result<Password, CommandError> {
    let mut line = Zeroizing::new(String::new());
    let read = io::stdin().lock().read_line(&mut line);
    read.map_err(CommandError::Input)?;
    match line.trim_end_matches(['\r', '\n']) {
        "" => Err(CommandError::Password(
            "no password: there is no terminal to ask on, and standard input has none in its first line",
        )),
        password => Ok(Password::new(password)),
    }
}
