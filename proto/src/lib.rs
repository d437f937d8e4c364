//! The protobuf messages that Polyhost and its conformance suite speak.
//!
//! The Rust code under `src/gen` is generated from the `.proto` files beside it
//! and checked in, so that users need no `protoc`; a test compares the two.
//! Run `POLYHOST_BLESS=1 cargo test -p polyhost-proto` to write it anew.
#![allow(missing_docs, clippy::doc_markdown, clippy::doc_lazy_continuation)]

/// What crosses a boundary beside users' own messages: `polyhost.v1`.
pub mod polyhost {
    pub mod v1 {
        include!("gen/polyhost.v1.rs");
    }
}

/// What the conformance suite asks of a guest: `conformance.v1`.
pub mod conformance {
    pub mod v1 {
        include!("gen/conformance.v1.rs");
    }
}

/// What the demo and the bench measure with: `bench.v1`.
pub mod bench {
    pub mod v1 {
        include!("gen/bench.v1.rs");
    }
}

/// All `.proto` files of this crate, compiled: a serialized `google.protobuf.FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!("gen/descriptors.binpb");

/// Messages that protoc has encoded, for every host to read and write as it does: a serialized `golden.v1.Vectors`.
pub const GOLDEN: &[u8] = include_bytes!("../golden/v1/vectors.binpb");
