//! A mean span length, and how it is written in a recipe and in a spec: a number, or a share.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use crate::denoise::ratio::Ratio;

/// A mean span length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanLength {
    /// A number of tokens, at least 1.
    Tokens(Ratio),
    /// A share of the segment's length, in (0, 1).
    Share(Ratio),
}

impl JsonSchema for SpanLength {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SpanLength".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let share = generator.subschema_for::<ShareOfSegment>();
        json_schema!({
            "description": "A mean span length: tokens, or a share of the segment.",
            "anyOf": [{ "type": "number", "minimum": 1 }, share],
        })
    }
}

impl fmt::Display for SpanLength {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tokens(mean) => mean.fmt(formatter),
            Self::Share(share) => write!(formatter, "{share}·n"),
        }
    }
}

impl Serialize for SpanLength {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Tokens(mean) => mean.serialize(serializer),
            Self::Share(share) => serializer.collect_map([("share", share)]),
        }
    }
}

impl<'de> Deserialize<'de> for SpanLength {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SpanLengthVisitor)
    }
}

struct SpanLengthVisitor;

/// A share of the segment's length.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ShareOfSegment {
    /// In (0, 1).
    #[schemars(extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 1))]
    share: Ratio,
}

impl<'de> Visitor<'de> for SpanLengthVisitor {
    type Value = SpanLength;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a number of tokens, or `{ share = … }` of the segment")
    }

    #[expect(clippy::cast_precision_loss, reason = "numbers above 2^53 are out of range all the same")]
    fn visit_i64<E: de::Error>(self, number: i64) -> Result<SpanLength, E> {
        self.visit_f64(number as f64)
    }

    #[expect(clippy::cast_precision_loss, reason = "numbers above 2^53 are out of range all the same")]
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<SpanLength, E> {
        self.visit_f64(number as f64)
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<SpanLength, E> {
        Ratio::from_decimal(number).map(SpanLength::Tokens).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SpanLength, A::Error> {
        let ShareOfSegment { share } = ShareOfSegment::deserialize(de::value::MapAccessDeserializer::new(map))?;
        Ok(SpanLength::Share(share))
    }
}
