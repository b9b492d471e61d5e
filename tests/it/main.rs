//! The integration tests, in one binary: the program as its users run it, real servers, and the rules of the house.

mod command_line;
mod end_to_end;
mod house;
mod kafka;
mod real_data;
mod support;
