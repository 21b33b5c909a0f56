//! When a certificate that was good still is.
