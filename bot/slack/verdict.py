"""What a permanent refusal asks of the sender: Slack's error word comes in, whose fault it is goes out. Pure.

Error words: docs.slack.dev/reference/methods/chat.postMessage#errors. A word that is not listed is `UNKNOWN`: nothing is
given up because of it, and nothing else waits for it.
"""

from __future__ import annotations

from bot.sinks import Verdict

_WORDS: dict[Verdict, frozenset[str]] = {
    Verdict.AUTH: frozenset((
        "access_denied", "account_inactive", "accesslimited", "ekm_access_denied", "enterprise_is_restricted",
        "invalid_auth", "method_deprecated", "missing_scope", "no_permission", "not_allowed_token_type", "not_authed",
        "org_login_required", "team_access_not_granted", "team_not_found", "token_expired", "token_revoked",
        "two_factor_setup_required",
    )),
    Verdict.CHANNEL: frozenset((
        "cannot_reply_to_message", "channel_is_limited_access", "channel_not_found", "is_archived", "is_inactive",
        "messages_tab_disabled", "not_in_channel", "restricted_action", "restricted_action_non_threadable_channel",
        "restricted_action_read_only_channel", "restricted_action_thread_locked",
        "restricted_action_thread_only_channel", "user_not_found",
    )),
    Verdict.PAYLOAD: frozenset((
        "as_user_not_supported", "attachment_payload_limit_exceeded", "block_mismatch", "blocks_too_long", "http_413",
        "invalid_arguments", "invalid_array_arg", "invalid_blocks", "invalid_blocks_format", "invalid_charset",
        "invalid_form_data", "invalid_json", "invalid_metadata_format", "invalid_metadata_schema", "invalid_post_type",
        "json_not_object", "markdown_text_conflict", "metadata_must_be_sent_from_app", "metadata_too_large",
        "msg_blocks_too_long", "msg_too_long", "no_text", "slack_connect_file_link_sharing_blocked",
        "too_many_attachments",
    )),
    Verdict.GONE: frozenset(("cant_update_message", "edit_window_closed", "message_not_found")),
}  # fmt: skip
_VERDICTS = {word: verdict for verdict, words in _WORDS.items() for word in words}


def verdict(code: str) -> Verdict:
    """Whose fault the refusal with this error word is."""
    return _VERDICTS.get(code, Verdict.UNKNOWN)
