"""Protocol buffers of this project and the code that protoc generates from them (`make protos`)."""
