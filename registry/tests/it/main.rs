//! Tests of the registry from outside: its index against a model, and real servers on loopback.

mod index_model;
