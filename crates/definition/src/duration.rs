//! Durations as the file writes them: `200ms`, `10s`, `2m`, `1h`, `3d`.

use amends_core::Millis;

/// The longest duration: about ten years. Sagas take minutes to weeks; more is a slip, and sums of
/// such durations never overflow.
pub const DURATION_DAYS_MAX: u64 = 3_650;

const UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Reads one; the error says what is wrong with it.
pub(crate) fn parse(text: &str) -> Result<Millis, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err("has no number".to_owned());
    }
    let Some((_, size)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(match unit {
            "" => "has no unit".to_owned(),
            _ => "has an unknown unit".to_owned(),
        });
    };
    let longest = DURATION_DAYS_MAX * 86_400_000;
    number
        .parse::<u64>()
        .ok()
        .and_then(|n| n.checked_mul(*size))
        .filter(|millis| *millis <= longest)
        .map(Millis)
        .ok_or_else(|| format!("is longer than {DURATION_DAYS_MAX}d"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_number_and_a_unit() {
        let check = |text: &str, expected: Result<u64, &str>| {
            assert_eq!(parse(text), expected.map(Millis).map_err(str::to_owned), "{text:?}");
        };
        check("200ms", Ok(200));
        check("10s", Ok(10_000));
        check("2m", Ok(120_000));
        check("1h", Ok(3_600_000));
        check("3d", Ok(259_200_000));
        check("0s", Ok(0));
        check("10", Err("has no unit"));
        check("s", Err("has no number"));
        check("-1s", Err("has no number"));
        check("1.5s", Err("has an unknown unit"));
        check("1 s", Err("has an unknown unit"));
        check("1S", Err("has an unknown unit"));
        check("3651d", Err("is longer than 3650d"));
        check("99999999999999999999s", Err("is longer than 3650d"));
        check("18446744073709551615d", Err("is longer than 3650d"));
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        for millis in [1, 999, 1_500, 60_000, 90_000, 3_600_000, 86_400_000] {
            assert_eq!(parse(&Millis(millis).to_string()), Ok(Millis(millis)));
        }
    }
}
