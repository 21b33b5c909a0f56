//! What is wrong with the files that `tls` names.
