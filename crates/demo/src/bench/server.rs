//! The options for a server that is there, and for the participant that it calls.

use std::net::SocketAddr;

use super::wire;

/// The server that is driven, and how it reaches the participant.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ServerOptions {
    /// Drive the server at this address, with whatever store it has, instead of one started for it.
    #[arg(long, value_name = "HOST:PORT", value_parser = host_and_port, conflicts_with = "stores")]
    pub address: Option<String>,
    /// Header of every request to that server, such as 'Authorization: Bearer …'.
    #[arg(long, value_name = "NAME: VALUE", env = wire::HEADER_VARIABLE, hide_env_values = true, requires = "address", value_parser = checked_header)]
    pub header: Option<String>,
    /// Address that the participant listens on; without one, a free port of the loopback address.
    #[arg(long, value_name = "ADDRESS")]
    pub participant_listen: Option<SocketAddr>,
    /// URL under which the server reaches the participant; without one, the address it listens on.
    #[arg(long, value_name = "URL", requires = "address")]
    pub participant_url: Option<String>,
    /// How long the participant takes for an answer, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 0, allow_negative_numbers = true)]
    pub participant_latency_ms: u64,
}

/// `HOST:PORT`, or the URL of that.
fn host_and_port(text: &str) -> Result<String, String> {
    let advice = "write it as HOST:PORT or http://HOST:PORT";
    if text.starts_with("https://") {
        return Err(format!("the load generator speaks no TLS; {advice}"));
    }
    let address = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    match address.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && !host.contains('/') && is_port(port) => {
            Ok(address.to_owned())
        }
        Some(_) | None => Err(advice.to_owned()),
    }
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|port| port > 0)
}

fn checked_header(text: &str) -> Result<String, String> {
    wire::header(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_by_host_and_port() {
        for text in ["127.0.0.1:7411", "http://127.0.0.1:7411/"] {
            assert_eq!(host_and_port(text).as_deref(), Ok("127.0.0.1:7411"));
        }
        for text in ["localhost", ":7411", "http://a/b:1", "a:0"] {
            assert!(host_and_port(text).is_err(), "{text}");
        }
        assert!(host_and_port("https://a:1").unwrap_err().contains("no TLS"));
    }
}
