//! A password that the operator chooses, which is never an argument: others could read it there.

use auth_core::Password;

use crate::error::CommandError;

/// Reads the password from the variable, or asks for it twice without showing it.
pub(super) fn read(noinput: bool, variable: &'static str) -> Result<Password, CommandError> {
    if noinput {
        let password = std::env::var(variable).map(Password::new);
        password.map_err(|_| CommandError::Argument {
            name: variable,
            problem: "must be set with --noinput".to_owned(),
        })
    } else {
        ask()
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
