//! Where items go: variables, files, standard input.
