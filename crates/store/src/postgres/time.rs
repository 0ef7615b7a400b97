//! Points in time as `TIMESTAMPTZ` in PostgreSQL's binary form, without a date library between.

use amends_core::Timestamp;
use amends_ports::store::Wake;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueFormat, PgValueRef};
use sqlx::{Decode, Encode, Postgres, Type};

/// 2000-01-01, where PostgreSQL counts from, in microseconds since 1970-01-01.
const EPOCH_MICROS: i64 = 946_684_800_000_000;
/// First moment that a `TIMESTAMPTZ` can hold: 4714-11-24 BC.
const MIN: i64 = -211_813_488_000_000_000;
/// Last microsecond that it can hold: in the year 294276.
const MAX: i64 = 9_223_371_331_199_999_999;
/// How `infinity` is written.
const INFINITY: i64 = i64::MAX;

const TIMESTAMPTZ: Oid = Oid(1184);
const TIMESTAMPTZ_ARRAY: Oid = Oid(1185);

/// Microseconds since 2000-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Time(i64);

/// The nearest moment that a column can hold.
impl From<Timestamp> for Time {
    fn from(time: Timestamp) -> Self {
        Self(time.0.saturating_sub(EPOCH_MICROS).clamp(MIN, MAX))
    }
}

impl From<Time> for Timestamp {
    fn from(time: Time) -> Self {
        Self(time.0.saturating_add(EPOCH_MICROS))
    }
}

impl Time {
    /// `wake_at` of a saga that has not ended.
    pub(super) fn of_wake(wake: Wake) -> Option<Self> {
        match wake {
            Wake::InMemory => None,
            Wake::At(time) => Some(time.into()),
            Wake::Parked => Some(Self(INFINITY)),
        }
    }
}

impl Type<Postgres> for Time {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(TIMESTAMPTZ)
    }

    fn compatible(info: &PgTypeInfo) -> bool {
        info.oid() == Some(TIMESTAMPTZ)
    }
}

impl PgHasArrayType for Time {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(TIMESTAMPTZ_ARRAY)
    }
}

impl Encode<'_, Postgres> for Time {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Encode::<Postgres>::encode_by_ref(&self.0, buffer)
    }
}

impl Decode<'_, Postgres> for Time {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        match value.format() {
            PgValueFormat::Binary => Ok(Self(i64::from_be_bytes(value.as_bytes()?.try_into()?))),
            PgValueFormat::Text => Err("a time came as text".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_survive_and_extremes_are_clamped() {
        for micros in [0, 1, -1, 1_800_000_000_123_456] {
            assert_eq!(Timestamp::from(Time::from(Timestamp(micros))), Timestamp(micros));
        }
        assert_eq!(Time::from(Timestamp(i64::MAX)), Time(i64::MAX - EPOCH_MICROS));
        assert_eq!(Time::from(Timestamp(i64::MIN)), Time(MIN));
        assert_ne!(Time::of_wake(Wake::At(Timestamp(i64::MAX))), Time::of_wake(Wake::Parked));
    }
}
