-- The extension, with the networks that it comes with, and the photos; :photos
-- is a file for COPY.
SET client_min_messages = warning;
CREATE EXTENSION facerec;
SELECT name, role, dims, license FROM facerec_models WHERE builtin ORDER BY name;

CREATE TABLE photo (file text PRIMARY KEY, data bytea NOT NULL);
ALTER TABLE photo ALTER COLUMN data SET STORAGE EXTERNAL;
\set copy_photos '\\copy photo FROM ' :'photos'
:copy_photos

-- A portrait's name says who it shows: 01-suyeri-3.jpg
CREATE TABLE face (
  file text PRIMARY KEY REFERENCES photo,
  person text NOT NULL,
  embedding faceembedding);
