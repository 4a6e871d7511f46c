use countersign::{Error, NetworkOrder};

use crate::{issue_args::TokenIssue, progress::waiting_for, token_commands::print_token};

pub(crate) async fn issue(issue: TokenIssue) -> Result<(), Error> {
    let TokenIssue { network, ttl, scope, name, stack, header, timeout } = issue;
    let order = NetworkOrder { network, seconds: ttl.seconds(), scope, name };
    print_token(&waiting_for("AWS", order.issue(&stack, timeout)).await?, header)
}
