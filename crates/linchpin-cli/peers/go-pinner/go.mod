module pinner
go 1.24
