//! Tags of series. TensorBoard groups charts by the part before the first slash.

/// The group of a name that has none.
const GROUP: &str = "train";
/// Groups of names by their start.
const GROUPS: [(&str, &str); 1] = [("val_", "validation")];
/// Names about the machine's work, which would crowd the curves of the model.
const SPEED: [&str; 4] = ["tokens_per_second", "mfu", "data_wait_seconds", "memory_bytes"];

/// The tag of a series: `train/loss` of `loss`, `validation/loss` of `val_loss`, `speed/mfu` of `mfu`. A name with a slash
/// keeps its own group. White space and `%` are written as in URLs, so that different names have different tags.
pub fn tag(name: &str) -> String {
    let (group, rest) = match GROUPS.iter().find_map(|(start, group)| Some((*group, name.strip_prefix(start)?))) {
        _ if name.contains('/') => return plain(name),
        Some((group, rest)) if !rest.is_empty() => (group, rest),
        _ if SPEED.contains(&name) => ("speed", name),
        _ => (GROUP, name),
    };
    format!("{group}/{}", plain(rest))
}

fn plain(name: &str) -> String {
    let mut tag = String::with_capacity(name.len());
    for character in name.chars() {
        if character == '%' || character.is_whitespace() {
            let mut bytes = [0; 4];
            character.encode_utf8(&mut bytes).bytes().for_each(|byte| tag.push_str(&format!("%{byte:02X}")));
        } else {
            tag.push(character);
        }
    }
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_have_groups_and_no_spaces() {
        let tags = ["loss", "val_loss", "mfu", "grad_norm/layer.12", "my metric", "val_", "100%"].map(tag);
        assert_eq!(
            tags,
            [
                "train/loss",
                "validation/loss",
                "speed/mfu",
                "grad_norm/layer.12",
                "train/my%20metric",
                "train/val_",
                "train/100%25"
            ]
        );
    }
}
