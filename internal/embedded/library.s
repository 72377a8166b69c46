// This file is empty: with it in the package, Go takes functions without a
// body, which library.go has.
