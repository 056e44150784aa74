"""Wire messages of our own and the code that protoc makes of them (`make protos`)."""
