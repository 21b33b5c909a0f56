//! A fake of Tencent's interface.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chat_signer_core::vendor::tencent;
use serde_json::{Value, json};

use super::{Held, TENCENT_ID, text, verify_mac};
use crate::fake_server::Seen;
use crate::now;

impl Held {
    pub(super) fn tencent(
        &mut self,
        seen: &Seen,
        command: &str,
        query: &BTreeMap<String, String>,
        body: &Value,
    ) -> Result<(u16, Value), String> {
        check_user_sig(query)?;
        let ok = json!({ "ActionStatus": "OK", "ErrorCode": 0 });
        if seen.method != "POST" {
            return Err("not a POST".to_owned());
        }
        let first = |list: &str| body[list][0].as_str().map(str::to_owned).ok_or_else(|| format!("no {list}"));
        let unknown = Ok((200, json!({ "ActionStatus": "FAIL", "ErrorCode": 70107 })));
        match command {
            "im_open_login_svc/kick" => self.kicked.push((text(body, "UserID")?.to_owned(), String::new())),
            "openconfigsvr/getnospeaking" if self.strangers.contains(text(body, "Get_Account")?) => return unknown,
            "openconfigsvr/setnospeaking" if self.strangers.contains(text(body, "Set_Account")?) => return unknown,
            "openconfigsvr/getnospeaking" => {
                let muted = self.mutes.get(&("*".to_owned(), text(body, "Get_Account")?.to_owned())).copied();
                let time = muted.unwrap_or(0);
                return Ok((
                    200,
                    json!({ "ErrorCode": 0, "C2CmsgNospeakingTime": time, "GroupmsgNospeakingTime": time }),
                ));
            }
            "openconfigsvr/setnospeaking" => {
                let time = body["C2CmsgNospeakingTime"].as_i64().ok_or("no time")?;
                if body["GroupmsgNospeakingTime"] != time {
                    return Err("two times".to_owned());
                }
                self.mute("*", text(body, "Set_Account")?, time);
            }
            "group_open_http_svc/forbid_send_msg" => {
                let group = text(body, "GroupId")?;
                if !self.members.contains_key(group) {
                    return Ok((200, json!({ "ActionStatus": "FAIL", "ErrorCode": 10010 })));
                }
                self.mute(group, &first("Members_Account")?, body["MuteTime"].as_i64().ok_or("no time")?);
            }
            "group_open_http_svc/delete_group_member" => {
                let user = first("MemberToDel_Account")?;
                match self.members.get_mut(text(body, "GroupId")?) {
                    Some(members) => _ = members.remove(&user),
                    None => return Ok((200, json!({ "ActionStatus": "FAIL", "ErrorCode": 10010 }))),
                }
            }
            _ => return Err("no such path at Tencent".to_owned()),
        }
        Ok((200, ok))
    }

    /// Sets the time for which a user cannot send. The time 0 ends a mute.
    pub(super) fn mute(&mut self, place: &str, user: &str, time: i64) {
        let key = (place.to_owned(), user.to_owned());
        if time == 0 { _ = self.mutes.remove(&key) } else { _ = self.mutes.insert(key, time) }
    }
}

/// Checks the UserSig of the administrator.
fn check_user_sig(query: &BTreeMap<String, String>) -> Result<(), String> {
    let get = |name: &str| query.get(name).map(String::as_str).ok_or_else(|| format!("no {name}"));
    let document = tencent::decode(get("usersig")?).ok_or("no UserSig")?;
    let number = |name: &str| document[name].as_u64().unwrap_or_default();
    let (time, expire) = (number("TLS.time"), number("TLS.expire"));
    let signed =
        format!("TLS.identifier:administrator\nTLS.sdkappid:{TENCENT_ID}\nTLS.time:{time}\nTLS.expire:{expire}\n");
    verify_mac(signed.as_bytes(), &STANDARD.decode(document["TLS.sig"].as_str().unwrap_or_default()).unwrap())?;
    let is_right = get("identifier")? == "administrator"
        && get("sdkappid")? == TENCENT_ID.to_string()
        && get("contenttype")? == "json"
        && get("random")?.parse::<u32>().is_ok()
        && document["TLS.identifier"] == "administrator"
        && (1..=300).contains(&expire)
        && time.abs_diff(now().seconds()) < 60;
    if is_right { Ok(()) } else { Err(format!("not with the UserSig of the administrator: {query:?}")) }
}
